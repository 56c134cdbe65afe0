"""Turn spoken queries into text, by Whisper on the CPU."""
