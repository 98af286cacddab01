/**
 * The fixed texts that `plimsoll model check --quality` reads, as answers to questions: prose, a
 * list, code and a dialogue. They were written for this, so no older model was trained on them.
 * Two figures can be compared only if the texts stay as they are.
 */
export type QualityText = { question: string; answer: string };

const PROSE = `A harbour is a quiet place until the tide turns. Then the ropes begin to creak, the fenders rub against
the stones, and somebody always discovers that a boat has been tied too short. My grandfather used to walk along the
quay at that hour with his hands in his pockets, looking at other people's knots. He never said that one was wrong. He
would stop, wait until the owner noticed him, and ask how long they meant to stay. Most of them understood. Those who
did not came back after supper and found their bow pulled down and their stern in the air, and then they understood
too.

Years later I learned that the sea rises there by nearly four metres in six hours, slowly at first, fastest in the
third and fourth hour, and slowly again before it stands still. He had no numbers for it. He only knew that a rope
which looks right at noon can be a danger by three o'clock, and that it costs nothing to leave a little more.`;

const LIST = `Before you leave a small flat empty for two weeks:

1. Turn off the water at the main valve, then open one tap to let the pressure out.
2. Empty the fridge of milk, salad and anything else that will not last. Leave the door of the freezer shut.
3. Pull the plugs of the kettle, the television and the computer. The router may stay on.
4. Water the plants well and move them away from the window, where it gets too hot.
5. Give a neighbour the second key and write down two telephone numbers.
6. Take the rubbish out. Do it last, because something always turns up.

You will need: a watering can, an envelope for the key, three bags, and about forty minutes.`;

const CODE = `def moving_average(values, width):
    """The mean of each run of \`width\` neighbours, oldest first."""
    if width < 1 or width > len(values):
        raise ValueError(f"width must be between 1 and {len(values)}, not {width}")
    total = sum(values[:width])
    means = [total / width]
    for i in range(width, len(values)):
        total += values[i] - values[i - width]
        means.append(total / width)
    return means


temperatures = [14.5, 15.0, 17.5, 16.0, 12.5, 13.0, 15.5]
for day, mean in enumerate(moving_average(temperatures, 3), start=2):
    print(f"day {day}: {mean:.2f} degrees")`;

const DIALOGUE = `Nora: You are early. The shop doesn't open until nine.
Sam: I know. I wanted to catch you before the others come. Is the blue bicycle still here?
Nora: It is, but the back wheel needs a new spoke. Why?
Sam: My sister turns twelve on Saturday. She has been looking at it through your window since March.
Nora: Then we had better fix that spoke. Can you hold the frame while I take the wheel out?
Sam: Like this?
Nora: A bit higher. Good. How much have you saved?
Sam: Eighty-five. The label says a hundred and ten.
Nora: The label is old. It says nothing about helping with the spoke. Eighty-five is fine, and I'll add a bell.
Sam: Really? Thank you! She won't believe it.`;

/** Each paragraph as one line. */
const unwrapped = (text: string) => text.replaceAll(/(?<!\n)\n(?!\n)/g, ' ');

export const QUALITY_TEXTS: readonly QualityText[] = [
  { question: 'Tell me something about tides that you remember from your childhood.', answer: unwrapped(PROSE) },
  { question: 'What should I do before I leave my flat empty for two weeks?', answer: LIST },
  { question: 'Write a Python function for a moving average, and show how to use it.', answer: CODE },
  { question: 'Write a short dialogue in a bicycle shop.', answer: DIALOGUE },
];
