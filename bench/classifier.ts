/**
 * What the edge's classifier costs. We time ordinary texts by length, and the slowest texts that we
 * know or that a random search finds. We also show the longest stretch of each during which no
 * other request gets a turn.
 *
 * Written down before measuring, for an idle core: at most 2 ms for 500 words, at most 40 ms for
 * 64,000 characters of English, at most 150 ms for as many of the worst kind, and no stretch above
 * 10 ms.
 */
import { readFile } from 'node:fs/promises';
import { MAX_READ_CHARS } from '#shared/api/text-limits.ts';
import { type Classifier, createClassifier } from '#shared/classify/classify.ts';
import { HARD_TEXTS } from '#shared/classify/testing/hard-texts.ts';
import { createRandom, type Random } from '#training/data/random.ts';
import { alternate, printMeasured } from './harness/measure.ts';

const MODEL = new URL('../models/classifier/classifier.bin', import.meta.url);
/** There are so many hard texts that more rounds would take minutes. */
const MOST_ROUNDS = 3;
const SEARCHED = 40;
const SHOWN = 6;

export async function benchClassifier({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const classifier = createClassifier(new Uint8Array(await readFile(MODEL)).buffer);
  const random = createRandom('bench/classifier');
  const ordinary = await alternate(
    [50, 500, 4_000].map((words) => {
      const texts = Array.from({ length: 20 }, () => prose(words, random));
      return { name: `${words} words`, run: async () => mean(texts.map((text) => time(classifier, text).total)) };
    }),
    { rounds },
  );
  const full = prose(MAX_READ_CHARS / 4, random).slice(0, MAX_READ_CHARS);
  const [whole] = await alternate([{ name: 'all that is read', run: async () => time(classifier, full).total }], {
    rounds,
  });
  console.log('\nclassifying ordinary English (ms a text)');
  printMeasured([...ordinary, whole], 'ms');

  const hard = [
    ...HARD_TEXTS.map(([name, text]) => ({ name, text: text.slice(0, MAX_READ_CHARS) })),
    ...Array.from({ length: SEARCHED }, (_, i) => ({ name: `mixture ${i}`, text: mixture(random) })),
  ];
  // The machine's own pauses can only lengthen a time, so we take the shortest of a few rounds.
  const measured = hard.map(({ name, text }) => {
    const runs = Array.from({ length: Math.min(rounds, MOST_ROUNDS) }, () => time(classifier, text));
    return {
      name,
      total: Math.min(...runs.map(({ total }) => total)),
      longest: Math.min(...runs.map(({ longest }) => longest)),
      rate: Math.min(...runs.map(({ total, work }) => (1_000 * total) / Math.max(1_000, work))),
    };
  });
  const [slowest, stretched, dearest] = (['total', 'longest', 'rate'] as const).map((key) =>
    measured.toSorted((a, b) => b[key] - a[key]),
  ) as [typeof measured, typeof measured, typeof measured];
  console.log(`\nthe slowest of ${hard.length} hard texts of ${MAX_READ_CHARS} characters (ms, and ms in one stretch)`);
  for (const { name, total, longest } of slowest.slice(0, SHOWN))
    console.log(`  ${total.toFixed(1).padStart(7)} ${longest.toFixed(1).padStart(6)}  ${name}`);
  console.log('those with the longest stretches (ms)');
  for (const { name, longest } of stretched.slice(0, SHOWN))
    console.log(`  ${longest.toFixed(1).padStart(7)}  ${name}`);

  return {
    'classifying 500 words (ms)': ordinary[1]!.median,
    [`classifying ${MAX_READ_CHARS} characters of English (ms)`]: whole.median,
    [`classifying ${MAX_READ_CHARS} of the worst (ms)`]: slowest[0]!.total,
    'the longest stretch without a turn for others (ms)': stretched[0]!.longest,
    'a thousand units of the dearest work (ms)': dearest[0]!.rate,
  };
}

function time({ inSlices }: Classifier, text: string): { total: number; longest: number; work: number } {
  const slices = inSlices(text);
  let [longest, work] = [0, 0];
  const startedAt = performance.now();
  for (let last = startedAt; ; ) {
    const { done, value } = slices.next();
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (done) return { total: now - startedAt, longest, work };
    work += value;
  }
}

const WORDS =
  'the of and to in is that it was for on are with they be at one have this from or had by but some what there we can out other were all your when up use how said each she which do their time if will way about many then them would write like these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people may down side been now find any new work part take get place made live where after back little only round man year came show every good me give our under name very through just form much great think say help low line before turn cause same mean differ move right boy old too does tell sentence set three want air well also play small end put home read hand port large spell add even land here must big high such follow act why ask men change went light kind off need house picture try us again animal point mother world near build self earth father'.split(
    ' ',
  );

/** Sentences of about a dozen words. */
function prose(words: number, random: Random): string {
  return Array.from({ length: words }, (_, i) => {
    const word = random.pick(WORDS);
    return i % 12 === 11 ? `${word}.` : word;
  }).join(' ');
}

const SCRAPS = [
  'h0w ',
  'b*mb ',
  'aGVsbG8gd29ybGQ',
  '\u0336',
  'k i l l ',
  '\ufdfa',
  '"{',
  '%61',
  '&#97;',
  'ekab ',
  'onxr ',
  'а',
  '한',
  '\n',
  '. ',
  'zqxj',
  'a.b-c~',
];

/** Text scraps of a few kinds, in random order. */
function mixture(random: Random): string {
  const kinds = random.shuffle([...SCRAPS, ...WORDS.slice(0, 6)]).slice(0, random.int(2, 7));
  let text = '';
  while (text.length < MAX_READ_CHARS) text += random.pick(kinds) + (random.chance(0.2) ? ' ' : '');
  return text.slice(0, MAX_READ_CHARS);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
