"""A function to call, with arguments that are all bounded, so that even a small model comes to an end."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

City = Literal["Oslo", "Rome"]
wish = "How is the weather in Oslo?"


class Weather(BaseModel):
    model_config = ConfigDict(extra="forbid")

    city: City


def weather(city: City) -> str:
    """The weather in a city."""
    return f"12 degrees in {city}"
