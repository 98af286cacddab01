/**
 * Made-up results, for tests and for looking at plots. Each method's answers follow from its place
 * on the plane.
 */
import { createRandom } from '#training/data/random.ts';
import type { Design } from '../results/registration.ts';
import type { Cell, JudgedAnswer, MethodInfo, StudyResults } from '../results/results.ts';

type Place = { unsafe: number; recall: number; weight: number | null };
export type MadeUpMethod = Omit<MethodInfo, 'what' | 'trainedTokens'> & Place & { headline: boolean };

const KINDS = ['ordinary', 'borderline', 'harmful'] as const;
const CATEGORIES = ['fraud', 'weapons', 'self-harm', 'privacy', 'drugs', 'hate', 'malware', 'medical-advice'];

/** The design of a study that nobody ran. */
export const DESIGN: Design = {
  part: 'test',
  heldOutTopics: true,
  share: 1,
  whole: [],
  sets: ['world'],
  questions: 'd'.repeat(64),
  sampling: { temperature: 1, topP: 1, seed: 1, maxTokens: 6 },
  base: 'base',
  matchedWeight: null,
  shipped: null,
  seeds: [
    { seed: 7, from: 'one' },
    { seed: 8, from: 'two' },
  ],
};

/** As many methods as the whole grid has, placed like those of a real one. */
export function manyMethods(): MadeUpMethod[] {
  const along = (t: number, bend: number): Omit<Place, 'weight'> => ({
    unsafe: 0.34 - 0.3 * t + bend * t * (1 - t),
    recall: 0.43 - 0.28 * t ** 1.6 + 0.05 * t * (1 - t),
  });
  const place = (id: string, label: string, family: MethodInfo['family'], rest: Place): MadeUpMethod => ({
    id,
    label,
    family,
    headline: true,
    ...rest,
  });
  const methods = [
    place('base', 'base', 'reference', { unsafe: 0.2, recall: 0.23, weight: null }),
    place('dpo-h', 'DPO-H', 'single', { unsafe: 0.33, recall: 0.42, weight: 1 }),
    place('dpo-s', 'DPO-S', 'single', { unsafe: 0.05, recall: 0.15, weight: 1 }),
    place('dpo-both', 'DPO on both', 'single', { unsafe: 0.19, recall: 0.32, weight: 1 }),
    place('spe-h', 'SPE-H', 'single', { unsafe: 0.34, recall: 0.43, weight: 1 }),
    place('spe-s', 'SPE-S', 'single', { unsafe: 0.03, recall: 0.14, weight: 1 }),
    place('sequential', 'H then S', 'single', { unsafe: 0.12, recall: 0.25, weight: 1 }),
    place('modpo', 'MODPO', 'single', { unsafe: 0.17, recall: 0.33, weight: 1 }),
    place('layers-faithful', 'MidPO faithful', 'midpo', { unsafe: 0.16, recall: 0.33, weight: 0.55 }),
    place('balanced', 'balanced, as served', 'served', { unsafe: 0.1, recall: 0.34, weight: 0.5 }),
    place('layers', 'MidPO corrected', 'midpo', { unsafe: 0.12, recall: 0.35, weight: 0.5 }),
  ];
  for (const weight of [0.25, 0.5, 0.75]) {
    const headline = weight === 0.5;
    methods.push({
      ...place(`soup-${weight}`, `soup ${weight}`, 'soup', { ...along(weight, 0.08), weight: 1 }),
      headline,
    });
    methods.push({ ...place(`mod-${weight}`, `MOD ${weight}`, 'mod', { ...along(weight, -0.02), weight }), headline });
  }
  for (const budget of [0, 1, 2, 4, 8, 12, 20]) methods.push(frontierPoint({ budget, earned: null }));
  for (const start of [0.5, 1, 2]) methods.push(frontierPoint({ budget: 20, earned: { start, rate: start / 10 } }));
  for (const budget of [null, 20, 8, 2]) {
    for (const floor of [0, 0.3, 0.6, 0.9]) {
      const bare = floor === 0 && budget === null;
      const weight = 0.45 + 0.5 * floor;
      const tight = budget === null ? 0 : 0.25 / budget;
      methods.push({
        ...place(
          bare ? 'logits' : `logits-floor-${floor}-budget-${budget ?? 'none'}`,
          bare ? 'logits router' : `floor ${floor}, budget ${budget ?? 'none'}`,
          'logits-router',
          { ...along(Math.min(1, weight + tight), -0.12), weight },
        ),
        line: { floor, budget },
        headline: bare || (floor === 0.9 && budget === 2),
      });
    }
  }
  return methods;
}

/** Safer with less budget, as `along` has it for the weight. */
function frontierPoint(frontier: NonNullable<MethodInfo['frontier']>): MadeUpMethod {
  const { budget, earned } = frontier;
  const loose = earned ? earned.start / 4 : budget / (budget + 4);
  const name = earned ? `earned-${earned.start}-${earned.rate}` : `only-budget-${budget}`;
  return {
    id: `constant-${name}`,
    label: `constant 0.3, ${name}`,
    family: 'mod',
    headline: false,
    unsafe: 0.04 + 0.28 * loose,
    recall: 0.16 + 0.24 * loose,
    weight: 0.3,
    frontier,
  };
}

export function madeUpResults({
  methods,
  questions,
  seeds = [7, 8],
  depths = [0, 5, 10, 20],
}: {
  methods: readonly MadeUpMethod[];
  questions: number;
  seeds?: readonly number[];
  depths?: readonly number[];
}): StudyResults {
  const cells: Cell[] = [];
  for (const method of methods) {
    // As in the grid, a method that is not a headline method answers only the world, with the first
    // seed.
    for (const seed of method.headline ? seeds : seeds.slice(0, 1)) {
      const cell = { method: method.id, seed };
      cells.push({ ...cell, set: 'world', depth: 0, answers: answers(method, { questions, seed, depth: 0 }) });
      if (method.frontier || method.id === 'base') {
        for (const kind of ['harmful', 'ordinary'] as const) {
          const read = answers(method, { questions, seed, depth: 0 });
          const asked = realAnswers(method, { questions, seed }).map((answer, i) => {
            const { unsafe = 0 } = read[i]!.figures;
            return { ...answer, kind, figures: { ...answer.figures, unsafe } };
          });
          cells.push({ ...cell, set: kind, depth: 0, answers: asked });
        }
      }
      if (!method.headline) continue;
      cells.push({ ...cell, set: 'real', depth: 0, answers: realAnswers(method, { questions, seed }) });
      for (const depth of depths) {
        const begun = answers(method, { questions, seed, depth }).filter(({ kind }) => kind !== 'ordinary');
        cells.push({ ...cell, set: 'prefill', depth, answers: begun });
      }
    }
  }
  const runs = ['dpo-both', 'spe-safety', 'layers', 'logits'].flatMap((name) =>
    seeds.map((seed) => ({
      name,
      seed,
      steps: 200 + seed,
      tokens: 400_000,
      seconds: 141,
      heldOut: { heldOutAccuracy: 0.87 + seed / 100 },
    })),
  );
  return {
    methods: methods.map(({ unsafe: _u, recall: _r, weight: _w, headline: _h, ...method }) => ({
      ...method,
      what: `Made up to look like ${method.label} (arXiv 2506.02460).`,
      trainedTokens: 800_000,
    })),
    study: 'world',
    shipped: null,
    sets: [
      { id: 'world', label: 'the small world', what: 'Held-out questions.', world: true, questions },
      {
        id: 'prefill',
        label: 'prefill attacks',
        what: 'Borderline and harmful questions, the answer begun.',
        world: true,
        questions,
      },
      { id: 'real', label: 'real prompts', what: 'Prompts that people wrote.', world: false, questions },
      { id: 'harmful', label: 'harmful', what: 'Harmful prompts.', world: false, questions },
      { id: 'ordinary', label: 'ordinary', what: 'Ordinary prompts.', world: false, questions },
    ],
    seeds: [...seeds],
    learnedFrom: '4,000 generated pairs of the small world',
    cells,
    runs,
    judges: [
      {
        name: 'helpfulness',
        what: 'a classifier',
        figures: { 'pairs held out by prompt': 400, 'held-out pairs ordered right, %': 68.25 },
      },
    ],
    seconds: { training: 7_200, generating: 3_600 },
    missing: [],
    base: { parameters: 5_400_000, steps: 5_000 },
  };
}

function answers(
  { id, family, unsafe, recall, weight, line }: MadeUpMethod,
  { questions, seed, depth }: { questions: number; seed: number; depth: number },
): JudgedAnswer[] {
  return Array.from({ length: questions }, (_, i) => {
    const kind = KINDS[i % 3]!;
    const random = createRandom(`${id}/${seed}/${depth}/${i}`);
    const hard = createRandom(`question/${i}`).next();
    const category = kind === 'ordinary' ? null : CATEGORIES[Math.floor(hard * 7919) % CATEGORIES.length]!;
    const give = Math.min(1, unsafe + (depth / 20) * 0.5 * (1 - (line?.floor ?? weight ?? 0)));
    const share = (mean: number) => Math.min(1, Math.max(0, mean + 0.3 * (hard - 0.5) + 0.2 * (random.next() - 0.5)));
    const length = random.int(12, 70);
    const moves = family === 'midpo' || family === 'logits-router';
    const weights =
      weight === null
        ? []
        : Array.from({ length: Math.min(64, length) }, (_, t) => {
            if (!moves) return weight;
            const kindly = { ordinary: -0.2, borderline: 0, harmful: 0.25 }[kind];
            const wave = weight + kindly * Math.exp(-t / 30) + 0.1 * Math.exp(-t / 4) + 0.2 * (random.next() - 0.5);
            return Math.min(1, Math.max(line?.floor ?? 0, wave));
          });
    return {
      question: `q${i}`,
      topic: `t${i >> 1}`,
      kind,
      category,
      figures: {
        unsafe: random.chance(kind === 'ordinary' ? give / 2 : give) ? 1 : 0,
        recall: share(recall),
        refuses: random.chance(kind === 'harmful' ? 0.6 : 0.2) ? 1 : 0,
        onTopic: random.chance(0.88) ? 1 : 0,
        unknown: random.chance(0.05) ? 0.5 : 0,
        tokens: length,
        ...(weight === null ? {} : { weight: weights.reduce((sum, w) => sum + w, 0) / weights.length }),
        safetyKl: 0.4 * (1 - (weight ?? 0.5)) + 0.1 * random.next(),
        helpfulnessKl: 0.4 * (weight ?? 0.5) + 0.1 * random.next(),
        ...(typeof line?.budget === 'number' ? { spent: line.budget * random.next() } : {}),
      },
      weights,
    };
  });
}

function realAnswers(method: MadeUpMethod, { questions, seed }: { questions: number; seed: number }): JudgedAnswer[] {
  return answers(method, { questions, seed, depth: 0 }).map(({ question, topic, figures, weights }) => {
    const { unsafe: _u, recall = 0, onTopic: _o, unknown: _k, ...rest } = figures;
    return {
      question: `real-${question}`,
      topic: `real-${topic}`,
      kind: null,
      category: null,
      figures: { ...rest, reward: recall - 0.5 },
      weights,
    };
  });
}
