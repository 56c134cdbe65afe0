"""Pictures that tests draw: shapes in colours on white, as files of any format."""

import io
from typing import Literal

from PIL import Image, ImageDraw

Shape = Literal["disc", "square", "triangle"]


def draw_picture(
    shape: Shape = "disc",
    colour: str = "red",
    size: tuple[int, int] = (120, 120),
    kind: str = "PNG",
    turn: float = 0.0,
) -> bytes:
    """Return the file of a drawing, the shape turned by so many degrees."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    width, height = size
    box = (width // 6, height // 6, width - width // 6, height - height // 6)
    if shape == "disc":
        draw.ellipse(box, fill=colour, outline="black", width=3)
    elif shape == "square":
        draw.rectangle(box, fill=colour, outline="black", width=3)
    else:
        draw.polygon([(box[0], box[3]), (box[2], box[3]), (width // 2, box[1])], fill=colour, outline="black")
    file = io.BytesIO()
    image.rotate(turn, fillcolor="white").save(file, kind)
    return file.getvalue()
