/**
 * Attempts to talk a model out of its line, and what looks like them. Every shape exists twice, as an attack and as something harmless:
 * wrappers and role plays around safe and unsafe questions alike, documents with a planted instruction and with a harmless
 * aside, codes to obey and codes to read. So the words of the attack are what is learned, and where one carries
 * a harmful question both labels are true.
 */
import { CATEGORIES, LABELS, type Label } from '#shared/api/categories.ts';
import { promptKey } from '../data/prompt-key.ts';
import { createRandom } from '../world/random.ts';
import { backwards, base64, hex, rot13 } from './codes.ts';
import { type Example, type Split, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';
import { loadJailbreak } from './own-files.ts';
import { fill, type Question } from './own-questions.ts';
import { splitOf } from './split.ts';

/** Safe and unsafe questions, half and half. */
const QUESTIONS_PER_WRAPPER = 24;
const QUESTIONS_PER_PLAY = 12;
const QUESTIONS_PER_CODE = 12;
const SENTENCES_PER_DOCUMENT = 8;
const QUESTIONS_PER_DOCUMENT = 3;
/** What is held out or calibrates, per carrier and kind. */
const ELSEWHERE = 2;

const CODES = [base64, base64, hex, rot13, backwards];

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
    {
      questions,
      attack,
      write = (text) => text,
    }: { questions: number; attack: boolean; write?: (text: string) => string },
  ): Example[] =>
    frames.flatMap((frame) => {
      const { split, random, count } = drawing(kind, frame);
      return [harmful, safe].flatMap((side) => {
        const inside = random.sample(
          side.filter((question) => question.split === split),
          count(questions / 2),
        );
        return inside.map(({ text, label }) => toExample(fill(frame, write(text)), { split, inside: label, attack }));
      });
    });

  const encoded = (kind: string, frames: readonly string[], attack: boolean): Example[] => {
    const random = createRandom(`${seed}/code/${kind}`);
    const write = (text: string) => random.pick(CODES)(text);
    return wrap(kind, frames, { questions: QUESTIONS_PER_CODE, attack, write }).map(unreadInTraining);
  };

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
    ...encoded('encoded', file.encodedFrames, true),
    ...encoded('decoding', file.decodingFrames, false),
  ];
}

type Wrapped = { split: Split; inside: Label | null; attack: boolean };

/** Jailbreak's neighbours are all categories, because one may hide in it; here we know what does. */
function toExample(text: string, { split, inside, attack }: Wrapped): Example {
  const known = targetsOf(inside === null ? [] : [inside]);
  const targets = LABELS.map((label, k) => (label === 'jailbreak' && attack ? 1 : known[k]!));
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary: false };
}

/** An attack without a question may be after a password or a policy: nobody said whether that is a harm of its own. */
function withOpenCategories(example: Example): Example {
  return { ...example, targets: example.targets.map((target, k) => (k < CATEGORIES.length ? null : target)) };
}

/** Training reads a text as it stands, and letters of a code shall teach no category; held out, the edge decodes it and is judged. */
function unreadInTraining(example: Example): Example {
  return example.split === 'train' ? withOpenCategories(example) : example;
}
