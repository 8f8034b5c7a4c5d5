"""Reports as one HTML file each, with the videos embedded and nothing fetched from the network."""
