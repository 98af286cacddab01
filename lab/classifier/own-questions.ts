/**
 * Questions and requests written for this project, harmful and safe. Deeds and chores go into the
 * same frames ("How do I ...?", "Write a tutorial on how to ..."), so that the frame itself says
 * nothing.
 */
import { CATEGORIES, type Label } from '#shared/line/categories.ts';
import { promptKey } from '#training/data/prompt-key.ts';
import { createRandom } from '#training/data/random.ts';
import { loadBenign, loadCategory, loadFrames, loadJailbreak } from './own-files.ts';
import { ownUses } from './own-uses.ts';
import { fill, type Question } from './question.ts';
import { splitOf } from './split.ts';

/**
 * Training shows a phrase in several frames. The other splits show it once, so that it counts once.
 */
const FRAMES_EACH = 6;

type Kind = Pick<Question, 'label' | 'scary'>;
const PLAIN: Kind = { label: null, scary: false };
const LOOKALIKE: Kind = { label: null, scary: true };
const unsafe = (label: Label): Kind => ({ label, scary: false });

/** Deterministic in `seed`. The split is by phrase and by request. */
export function ownQuestions({ seed }: { seed: number }): Record<'harmful' | 'safe', Question[]> {
  const frames = loadFrames();
  const framed = (phrases: readonly string[], kind: Kind): Question[] =>
    phrases.flatMap((phrase) => {
      const split = splitOf(promptKey(phrase));
      const random = createRandom(`${seed}/frame/${phrase}`);
      const chosen = random.sample(frames, split === 'train' ? FRAMES_EACH : 1);
      return chosen.map((frame) => ({ text: fill(frame, phrase), split, ...kind }));
    });
  const whole = (texts: readonly string[], kind: Kind): Question[] =>
    texts.map((text) => ({ text, split: splitOf(promptKey(text)), ...kind }));

  const benign = loadBenign();
  const categories = CATEGORIES.map((category) => ({ category, ...loadCategory(category) }));
  const uses = ownUses({ seed });
  return {
    harmful: [
      ...uses.filter(({ label }) => label !== null),
      ...categories.flatMap(({ category, requests, deeds }) => [
        ...whole(requests, unsafe(category)),
        ...framed(deeds, unsafe(category)),
      ]),
    ],
    safe: [
      ...uses.filter(({ label }) => label === null),
      ...whole(benign.lookalikes, LOOKALIKE),
      ...whole(benign.everyday, PLAIN),
      ...framed(benign.chores, PLAIN),
      ...whole(loadJailbreak().lookalikes, LOOKALIKE),
      ...categories.flatMap(({ lookalikes, chores }) => [
        ...whole(lookalikes, LOOKALIKE),
        ...framed(chores, LOOKALIKE),
      ]),
    ],
  };
}
