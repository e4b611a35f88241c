"""Korean as people type it: keyboard states, initial consonants, drawn-out letters, synonyms."""
