"""The live session: a camera's picture through the network into windows, cameras and files."""
