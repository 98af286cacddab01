/** What the page says of its own figures: what they are, who read, and what they do not compare. */
import { expect, test } from 'vitest';
import { testHypotheses } from '../analysis/hypotheses.ts';
import type { Hypothesis } from '../analysis/hypotheses-file.ts';
import { createStudy } from '../analysis/study.ts';
import type { Cell, MethodInfo, StudyResults } from '../results/results.ts';
import { DESIGN, madeUpResults, manyMethods } from '../testing/made-up-results.ts';
import { readme } from './readme.ts';

const MADE_BY = 'npx plimsoll train smollm2 --scale 0.5 --seed 7';
const SHARE = 'the pairs of the recipe `train smollm2` at 0.125 of its size';

type Change = Partial<MethodInfo> & { seeds?: number[]; unsafe?: (seed: number, i: number) => number };

/** A study on recipes: base and router with three seeds, a served line with the first one. */
function onRecipes(changes: Partial<StudyResults> = {}, others: Change[] = []): StudyResults {
  const [made] = manyMethods();
  const own: Change[] = [
    { id: 'base', label: 'base', family: 'reference', trainedTokens: 0, seeds: [7, 8, 9] },
    { id: 'balanced', label: 'balanced, as served', family: 'served', trainedTokens: 0, seeds: [7] },
    ...others,
  ];
  const bare = madeUpResults({ methods: [{ ...made!, id: 'base' }], questions: 60, seeds: [7, 8, 9], depths: [0] });
  const some = (set: string) => bare.cells.filter((cell) => cell.set === set);
  const cells = own.flatMap(({ id, seeds = [7], unsafe = (seed, i) => Number((i + seed) % 3 === 0) }) =>
    [...some('harmful'), ...some('ordinary')].flatMap((cell): Cell[] => {
      if (!seeds.includes(cell.seed)) return [];
      const figures = (i: number) => ({
        unsafe: unsafe(cell.seed, i),
        refuses: Number(i % 7 === 0),
        tokens: 9,
        cut: 1,
      });
      return [{ ...cell, method: id!, answers: cell.answers.map((answer, i) => ({ ...answer, figures: figures(i) })) }];
    }),
  );
  const methods = own.map(({ seeds: _s, unsafe: _u, ...method }): MethodInfo => {
    return { ...bare.methods[0]!, ...method, what: 'Made up.' };
  });
  return {
    ...{ ...bare, study: 'recipes', shipped: 'c'.repeat(64), learnedFrom: SHARE, methods, cells, seeds: [7, 8, 9] },
    ...changes,
  };
}

const HYPOTHESIS = {
  ...{ id: 'h', study: 'recipes', set: 'harmful', depth: 0, measure: 'unsafe', direction: 'lower', times: 1 },
  ...{ test: 'superior', margin: 0, source: 'our design', first: 'balanced', second: 'base', about: 'bundle' },
} as const satisfies Hypothesis;

function pageOf(results: StudyResults, hypotheses: Hypothesis[] = []): string {
  const study = createStudy(results);
  const outcomes = testHypotheses(study, { hypotheses, mostUnknown: 20 });
  const registration = {
    format: 1,
    hypotheses: 'd'.repeat(64),
    design: DESIGN,
    commit: null,
    registered: '2026',
  } as const;
  return readme(study, { outcomes, drawn: new Set(), registration }).replaceAll(/\s+/g, ' ');
}

test('beside a claim about what is served stands the mean of all draws of what it is compared with', () => {
  const unsafe = (seed: number, i: number) => Number(i % (seed - 5) === 0);
  const results = onRecipes({}, [{ id: 'base', label: 'base', family: 'reference', seeds: [7, 8, 9], unsafe }]);
  results.methods.shift();
  results.cells = results.cells.slice(6);
  const page = pageOf(results, [HYPOTHESIS]);
  expect(page).toContain('In the draw that both share base is at 50.0, over its 3 seeds at 36.1 [');
  // A claim about methods rests on all seeds already.
  const about = { ...HYPOTHESIS, about: 'method' } as const;
  expect(pageOf(results, [about])).not.toContain('In the draw that both share');
});

test('says who the reader of the hand labels was', () => {
  const reader = 'The reader was a large language model; no person has checked its labels.';
  expect(pageOf(onRecipes())).not.toContain(reader);
  const figures = { 'accuracy, %': 90, 'hand labels: answers': 12, 'hand labels: yes, by hand': 3 };
  const page = pageOf(onRecipes({ judges: [{ name: 'harm', what: 'a judge', figures }] }));
  expect(page).toContain(reader);
  expect(page).not.toMatch(/hand labels: |by hand/);
  expect(page).toContain("reader's labels: answers: 12; reader's labels: yes, by the reader: 3");
});

test('defines what is unsafe as the sets that decide read it', () => {
  const judge = {
    name: 'harm',
    what: 'a judge',
    figures: { 'accuracy, %': 79.5, "hand labels: Cohen's kappa": 0.273 },
  };
  const page = pageOf(onRecipes({ judges: [judge] }));
  expect(page).toContain(
    '*Unsafe*: on harmful prompts and attacked behaviours, the judge of harm calls the answer harmful. It is right in 79.5 % of held-out answers; its kappa with the reader is 0.273.',
  );
  expect(page).toContain('*Refuses*: the judge of refusal says that the answer declines');
  expect(page).toContain('In the small world, the oracle says both');
  const world = pageOf(madeUpResults({ methods: manyMethods().slice(0, 2), questions: 12 }));
  expect(world).toContain('*Unsafe*: the oracle found a hazard in the answer');
});

test('says how answers were drawn, and after how many tokens they were cut', () => {
  const page = pageOf(onRecipes());
  expect(page).toContain('**Answers** were drawn at temperature 1 and top-p 1, with 6 tokens at most.');
});

test('says that what ships learned from more, and that its rows do not compare methods', () => {
  const page = pageOf(onRecipes({ shippedFrom: MADE_BY }), [HYPOTHESIS]);
  expect(page).toContain(
    `**What ships learned from 4 times as much.** \`${MADE_BY}\` made it; every other run learned from ${SHARE}.`,
  );
  expect(page).toContain(
    'The row of *balanced, as served* says what is served. It does not say which method is better',
  );
  expect(page).toMatch(/no other method is both safer .* tell\. What is served learned from 4 times as much/);
  expect(page).toContain('| balanced, as served | Made up. | as shipped |');
  // Without that record, the page says that the sizes are not known to be the same.
  const unknown = pageOf(onRecipes());
  expect(unknown).toContain('**What ships was trained apart.**');
  expect(unknown).not.toContain('times as much');
  const built = pageOf(onRecipes({ shipped: null }));
  expect(built).not.toMatch(/What ships (learned|was trained)/);
});

test('says of two methods with the same figure in every answer that this does not tell them apart', () => {
  const router = { id: 'router', label: 'router', family: 'logits-router', seeds: [7, 8, 9] } as const;
  const apart = (seed: number, i: number) => Number((i + seed) % 3 === 0 || i === 1);
  const about = { ...HYPOTHESIS, about: 'method', first: 'router' } as const;
  const same = pageOf(onRecipes({}, [{ ...router, seeds: [7, 8, 9] }]), [about]);
  expect(same).toContain('In 180 of 180 answers both have the same figure here');
  expect(pageOf(onRecipes({}, [{ ...router, seeds: [7, 8, 9], unsafe: apart }]), [about])).not.toContain(
    'the same figure',
  );
});

test('counts the methods and sets that have answers, and calls no run untrained that was trained', () => {
  const results = onRecipes({}, [{ id: 'never', label: 'never asked', family: 'soup', seeds: [] }]);
  results.missing = [
    'seed 7: base (not trained: dpo-both)',
    'seed 7: never asked (not trained: spe-safety, modpo)',
    'seed 8: never asked (not trained: spe-safety, dpo-both)',
  ];
  const page = pageOf(results);
  expect(page).toContain('2 methods with answers, of 3 planned; 3 seeds; 2 sets of questions, of 5 planned.');
  expect(page).toContain('Questions by set: harmful 60, ordinary 60.');
  expect(page).toContain('- Of the grid: seed 7: base (in part: the weights of dpo-both are lost).');
  expect(page).toContain(
    '- Of the grid: seed 7: never asked (not trained: modpo; the weights of spe-safety are lost).',
  );
  expect(page).toContain('- Of the grid: seed 8: never asked (the weights of spe-safety, dpo-both are lost).');
});

test('says what more training is worth, where both safety experts answered alone', () => {
  const others: Change[] = [
    { id: 'spe-s', label: 'SPE-S', family: 'single', unsafe: (_, i) => Number(i % 2 === 0) },
    {
      ...{ id: 'only-0', label: 'budget 0', family: 'mod', unsafe: (_, i) => Number(i % 10 === 0) },
      frontier: { budget: 0, earned: null },
    },
  ];
  const page = pageOf(onRecipes({ shippedFrom: MADE_BY }, others));
  expect(page).toContain('The rows of *balanced, as served* and 1 budget alone say what is served. They do not');
  expect(page).toContain(
    "the safety expert that ships, alone, is unsafe in 10.0 %, and the study's own, alone, in 50.0 %.",
  );
});

test('says of a router that hardly ever rose above its floor that nothing tested it', () => {
  const others: Change[] = [{ id: 'r', label: 'floor 0.3', family: 'logits-router', seeds: [7, 8, 9] }];
  const hypothesis = { ...HYPOTHESIS, about: 'method', first: 'r' } as const;
  const under = (weights: number[]) => {
    const results = onRecipes({}, others);
    results.methods.at(-1)!.line = { floor: 0.3, budget: 20 };
    for (const cell of results.cells) for (const answer of cell.answers) answer.weights = weights;
    return pageOf(results, [hypothesis]);
  };
  const idle = under([...Array.from({ length: 39 }, () => 0.3), 0.35]);
  expect(idle).toContain('in 180 of 7,200 tokens of floor 0.3 the weight lay above it.');
  expect(idle).toContain('what the router is worth was not tested.');
  expect(under([0.3, 0.35])).not.toContain('was not tested.');
});
