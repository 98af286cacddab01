/**
 * Questions in code. A code alone says nothing: the edge decodes it, and the decoded text decides.
 * So most codes in training are harmless, whether they stand alone or come with a request to read
 * or answer them. An attack is made by words that call the code a way past a filter or the rules.
 * We mostly show those words around plain text, because that is how the edge reads them.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import { createRandom } from '#training/data/random.ts';
import { backwards, base64, hex, rot13 } from './codes.ts';
import type { Example, Split } from './example.ts';
import { loadJailbreak } from './own-files.ts';
import { fill, type Question } from './question.ts';
import { splitOf } from './split.ts';
import { toExample, unreadInTraining, withOpenCategories, withOpenJailbreak } from './wrapped-example.ts';

/**
 * How many questions each frame gets in training. In attacks and in codes to read, half of the
 * questions are harmful. In codes to answer, all are harmless.
 */
const CODES_PER_ATTACK = 4;
const PLAIN_PER_ATTACK = 8;
const CODES_PER_FRAME = 12;
const BARE_CODES = 300;
/** How many questions each frame draws from each side in the other two splits. */
const ELSEWHERE = 4;

const CODES = [base64, base64, hex, rot13, backwards];

type Options = { seed: number; harmful: readonly Question[]; safe: readonly Question[] };
type Side = readonly Question[];

export function ownCodes({ seed, harmful, safe }: Options): Example[] {
  const file = loadJailbreak();

  /** Makes examples for each frame, with questions from its own side of the split. */
  const around = (
    kind: string,
    frames: readonly string[],
    make: (frame: {
      split: Split;
      draw(side: Side, inTraining: number): Question[];
      encode(text: string): string;
      put(text: string): string;
    }) => Example[],
  ): Example[] =>
    frames.flatMap((frame) => {
      const split = splitOf(promptKey(frame));
      const random = createRandom(`${seed}/code/${kind}/${frame}`);
      return make({
        split,
        draw: (side, inTraining) =>
          random.sample(
            side.filter((question) => question.split === split),
            split === 'train' ? inTraining : ELSEWHERE,
          ),
        encode: (text) => random.pick(CODES)(text),
        put: (text) => fill(frame, text),
      });
    });

  const attacks = around('attack', file.encodedFrames, ({ split, draw, encode, put }) =>
    [harmful, safe].flatMap((side) => [
      ...draw(side, CODES_PER_ATTACK / 2).map(({ text, label }) =>
        unreadInTraining(toExample(put(encode(text)), { split, inside: label, attack: true })),
      ),
      ...draw(side, PLAIN_PER_ATTACK / 2).map(({ text, label }) =>
        toExample(put(text), { split, inside: label, attack: true }),
      ),
    ]),
  );

  const read = around('read', file.decodingFrames, ({ split, draw, encode, put }) =>
    [harmful, safe].flatMap((side) =>
      draw(side, CODES_PER_FRAME / 2).map(({ text, label }) =>
        unreadInTraining(toExample(put(encode(text)), { split, inside: label, attack: false })),
      ),
    ),
  );

  const requests = file.requests.map(
    (text): Question => ({ text, label: null, split: splitOf(promptKey(text)), scary: false }),
  );
  const answered = around('answer', file.answeringFrames, ({ split, draw, encode, put }) => {
    const harmless = draw(safe, CODES_PER_FRAME).flatMap(({ text }) =>
      [encode(text), text].map((written) => toExample(put(written), { split, inside: null, attack: false })),
    );
    // A code cannot teach what it hides. In the other splits the edge decodes it, and we judge the
    // result.
    if (split === 'train') return harmless;
    return [
      ...harmless,
      ...draw(harmful, 0).map(({ text, label }) =>
        withOpenJailbreak(toExample(put(encode(text)), { split, inside: label, attack: false })),
      ),
      ...draw(requests, 0).map(({ text }) =>
        withOpenCategories(toExample(put(encode(text)), { split, inside: null, attack: true })),
      ),
    ];
  });

  const random = createRandom(`${seed}/code/bare`);
  const inTraining = safe.filter(({ split }) => split === 'train');
  const bare = random
    .sample(inTraining, BARE_CODES)
    .map(({ text, split }) => toExample(random.pick(CODES)(text), { split, inside: null, attack: false }));

  return [...attacks, ...read, ...answered, ...bare];
}
