"""From semantic tokens or text to codes and speech."""
