"""`seg-doctor`: what of this machine seg-stream can use, and how to repair what it cannot."""
