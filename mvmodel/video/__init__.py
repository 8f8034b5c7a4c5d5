"""Video files in and out: probing, decoding, cutting, cataloguing, encoding."""
