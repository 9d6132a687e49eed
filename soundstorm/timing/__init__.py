"""Run time of the parts of the system against the length of the audio (SoundStorm's runtime)."""
