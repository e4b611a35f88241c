"""The page that people search with, rendered here in Korean and English."""
