"""A form for answers. All of it is bounded, so that even a small model comes to an end, and short."""

from pydantic import BaseModel, ConfigDict, Field


class Advice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=12)
    minutes: int = Field(ge=1, le=60)
