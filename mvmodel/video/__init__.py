"""Video files: probing, decoding, cutting, cataloguing and writing."""
