/**
 * Prompts written for this project, because the permissive sets hold few of some labels and hardly any safe prompts with
 * frightening words. Deeds and chores are put into the same frames ("How do I ...?", "Write a tutorial on how to ..."), so
 * that the frame itself says nothing; jailbreak wrappers and harmless role plays are put around safe and unsafe questions
 * alike.
 */

import { CATEGORIES, LABELS, type Label } from '#shared/api/categories.ts';
import { promptKey } from '../data/prompt-key.ts';
import { createRandom } from '../world/random.ts';
import { type Example, type Split, targetsOf } from './example.ts';
import { OWN_SOURCE } from './licences.ts';
import { loadBenign, loadCategory, loadFrames, loadJailbreak } from './own-files.ts';
import { splitOf } from './split.ts';

/** In training a phrase is seen in several frames; elsewhere once, so that it counts once. */
const FRAMES_EACH = 6;
/** Safe and unsafe questions, half and half. */
const QUESTIONS_PER_WRAPPER = 24;
const QUESTIONS_PER_PLAY = 12;

type Asked = { text: string; label: Label | null; split: Split; scary: boolean };
type Kind = Pick<Asked, 'label' | 'scary'>;
const PLAIN: Kind = { label: null, scary: false };
const LOOKALIKE: Kind = { label: null, scary: true };
const unsafe = (label: Label): Kind => ({ label, scary: false });

/** Deterministic in `seed`; the split is by phrase, by request and by wrapper. */
export function ownPrompts({ seed }: { seed: number }): Example[] {
  const frames = loadFrames();
  const framed = (phrases: readonly string[], kind: Kind): Asked[] =>
    phrases.flatMap((phrase) => {
      const split = splitOf(promptKey(phrase));
      const random = createRandom(`${seed}/frame/${phrase}`);
      const chosen = random.sample(frames, split === 'train' ? FRAMES_EACH : 1);
      return chosen.map((frame) => ({ text: fill(frame, phrase), split, ...kind }));
    });
  const whole = (texts: readonly string[], kind: Kind): Asked[] =>
    texts.map((text) => ({ text, split: splitOf(promptKey(text)), ...kind }));

  const benign = loadBenign();
  const jailbreak = loadJailbreak();
  const categories = CATEGORIES.map((category) => ({ category, ...loadCategory(category) }));
  const harmful = categories.flatMap(({ category, requests, deeds }) => [
    ...whole(requests, unsafe(category)),
    ...framed(deeds, unsafe(category)),
  ]);
  const safe = [
    ...whole(benign.lookalikes, LOOKALIKE),
    ...framed(benign.chores, PLAIN),
    ...whole(jailbreak.lookalikes, LOOKALIKE),
    ...categories.flatMap(({ lookalikes, chores }) => [...whole(lookalikes, LOOKALIKE), ...framed(chores, LOOKALIKE)]),
  ];
  const wrap = (wrappers: readonly string[], { count, adds }: { count: number; adds: readonly Label[] }): Example[] =>
    wrappers.flatMap((wrapper) => {
      const split = splitOf(promptKey(wrapper));
      const random = createRandom(`${seed}/wrap/${wrapper}`);
      return [harmful, safe].flatMap((questions) => {
        const sameSide = questions.filter((question) => question.split === split);
        const inside = random.sample(sameSide, split === 'train' ? count / 2 : 2);
        return inside.map(({ text, label }) => {
          const wrapped = { text: fill(wrapper, text), split, scary: false };
          return toExample(wrapped, wrappedTargets(label === null ? [] : [label], adds));
        });
      });
    });

  return [
    ...[...harmful, ...safe, ...whole(jailbreak.requests, unsafe('jailbreak'))].map((asked) =>
      toExample(asked, targetsOf(asked.label === null ? [] : [asked.label])),
    ),
    ...wrap(jailbreak.wrappers, { count: QUESTIONS_PER_WRAPPER, adds: ['jailbreak'] }),
    ...wrap(jailbreak.plays, { count: QUESTIONS_PER_PLAY, adds: [] }),
  ];
}

/** Jailbreak's neighbours are all categories, because one may hide in it; here we know what does. */
function wrappedTargets(inside: readonly Label[], adds: readonly Label[]): Example['targets'] {
  const known = targetsOf(inside);
  return LABELS.map((label, k) => (adds.includes(label) ? 1 : known[k]!));
}

function toExample(
  { text, split, scary }: Pick<Asked, 'text' | 'split' | 'scary'>,
  targets: Example['targets'],
): Example {
  return { text, source: OWN_SOURCE, split, targets, someHarm: false, weight: 1, scary };
}

function fill(frame: string, phrase: string): string {
  return frame.replace('{}', () => phrase);
}
