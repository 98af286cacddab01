/**
 * Made-up dialogues and pairs for tests that train a model: a few hundred different sentences about
 * things and what to do with them.
 */
import { createRandom, type Random } from '../data/random.ts';
import type { Dialogue, Preference } from '../data/rows.ts';

const THINGS = words(
  'kettle bicycle window candle garden ladder oven letter blanket radio carpet mirror pillow basket hammer lantern',
  'drawer bottle curtain saddle teapot bucket shutter cradle violin compass anchor barrel feather trumpet wardrobe',
);
const DEEDS = words('clean mend paint carry store measure dry cover polish lift fold label move warm weigh wrap');
const MEANS = [
  'with warm water',
  'with a soft cloth',
  'slowly and gently',
  'on a dry day',
  'with both hands',
  'before it is cold',
  'after breakfast',
  'near an open door',
  'together with a neighbour',
  'from left to right',
];
const ORIGIN = { source: 'small talk', licence: 'Apache-2.0' };
const REFUSAL = 'Sorry, that is nothing I help with.';

/** `dialogues(8)` makes eight dialogues of one question and one answer. */
export function dialogues(count: number, seed: number | string = 1): Dialogue[] {
  return rows(count, `${seed}/dialogues`, (random) => {
    const { question, answer } = talk(random);
    return { messages: [user(question), { role: 'assistant', content: answer() }], ...ORIGIN };
  });
}

/**
 * Makes pairs of a helpful answer and a refusal, in either order. The helpful answer is the better
 * one, and the refusal is the safer one.
 */
export function pairs(count: number, seed: number | string = 1): Preference[] {
  return rows(count, `${seed}/pairs`, (random) => {
    const { question, answer } = talk(random);
    const helpful = random.chance(0.5) ? 0 : 1;
    const refusal = helpful === 0 ? 1 : 0;
    return {
      prompt: [user(question)],
      responses: helpful === 0 ? [answer(), REFUSAL] : [REFUSAL, answer()],
      better: helpful,
      safer: refusal,
      safe: [refusal === 0, refusal === 1],
      ...ORIGIN,
    };
  });
}

const user = (content: string) => ({ role: 'user' as const, content });

function words(...lines: string[]): string[] {
  return lines.join(' ').split(' ');
}

function talk(random: Random): { question: string; answer: () => string } {
  const [thing, deed] = [random.pick(THINGS), random.pick(DEEDS)];
  const advice = () => `You can ${deed} the ${thing} ${random.pick(MEANS)}.`;
  return { question: `How do I ${deed} a ${thing}?`, answer: () => `${advice()} ${advice()}` };
}

function rows<Row>(count: number, stream: string, draw: (random: Random) => Row): Row[] {
  return Array.from({ length: count }, (_, i) => draw(createRandom(`${stream}/${i}`)));
}
