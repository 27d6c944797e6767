"""What is handed out: the wheel, and the image with what runs it."""
