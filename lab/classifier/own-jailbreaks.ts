/**
 * Attempts to talk a model out of its line, and harmless prompts that look like them. Every form
 * exists twice, as an attack and as something harmless. Wrappers and role plays go around safe and
 * unsafe questions alike. Documents hold a planted instruction or a harmless aside. Codes are meant
 * as a way past the filter, or only as something to answer or read (own-codes.ts). So the model
 * learns the words of the attack, not its form. If an attack carries a harmful question, both
 * labels are true.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import { createRandom } from '#training/data/random.ts';
import type { Example, Split } from './example.ts';
import { ownCodes } from './own-codes.ts';
import { loadJailbreak } from './own-files.ts';
import { fill, type Question } from './question.ts';
import { splitOf } from './split.ts';
import { toExample, withOpenCategories } from './wrapped-example.ts';

/**
 * How many texts go into each carrier in training. For wrappers and plays, half of the questions
 * are safe, half unsafe.
 */
const QUESTIONS_PER_WRAPPER = 24;
const QUESTIONS_PER_PLAY = 12;
const SENTENCES_PER_DOCUMENT = 8;
const QUESTIONS_PER_DOCUMENT = 3;
/** How many of each kind go into a carrier in the other two splits. */
const ELSEWHERE = 2;

type Options = { seed: number; harmful: readonly Question[]; safe: readonly Question[] };

export function ownJailbreaks({ seed, harmful, safe }: Options): Example[] {
  const file = loadJailbreak();
  const drawing = (kind: string, carrier: string) => {
    const split = splitOf(promptKey(carrier));
    const random = createRandom(`${seed}/${kind}/${carrier}`);
    return { split, random, count: (inTraining: number) => (split === 'train' ? inTraining : ELSEWHERE) };
  };
  const onSide = (split: Split) => (text: string) => splitOf(promptKey(text)) === split;

  const wrap = (
    kind: string,
    frames: readonly string[],
    { questions, attack }: { questions: number; attack: boolean },
  ): Example[] =>
    frames.flatMap((frame) => {
      const { split, random, count } = drawing(kind, frame);
      return [harmful, safe].flatMap((side) => {
        const inside = random.sample(
          side.filter((question) => question.split === split),
          count(questions / 2),
        );
        return inside.map(({ text, label }) => toExample(fill(frame, text), { split, inside: label, attack }));
      });
    });

  const documents = file.documents.flatMap((document) => {
    const { split, random, count } = drawing('document', document);
    const draw = (texts: readonly string[], most: number) => random.sample(texts.filter(onSide(split)), count(most));
    const questions = random.sample(
      harmful.filter((question) => question.split === split),
      count(QUESTIONS_PER_DOCUMENT),
    );
    const wrappers = file.wrappers.filter(onSide(split));
    return [
      ...draw(file.planted, SENTENCES_PER_DOCUMENT).map((sentence) =>
        withOpenCategories(toExample(fill(document, sentence), { split, inside: null, attack: true })),
      ),
      ...draw(file.asides, SENTENCES_PER_DOCUMENT).map((sentence) =>
        toExample(fill(document, sentence), { split, inside: null, attack: false }),
      ),
      ...questions.map(({ text, label }) =>
        toExample(fill(document, fill(random.pick(wrappers), text)), { split, inside: label, attack: true }),
      ),
    ];
  });

  return [
    ...file.requests.map((text) =>
      withOpenCategories(toExample(text, { split: splitOf(promptKey(text)), inside: null, attack: true })),
    ),
    ...wrap('wrap', file.wrappers, { questions: QUESTIONS_PER_WRAPPER, attack: true }),
    ...wrap('play', file.plays, { questions: QUESTIONS_PER_PLAY, attack: false }),
    ...documents,
    ...ownCodes({ seed, harmful, safe }),
  ];
}
