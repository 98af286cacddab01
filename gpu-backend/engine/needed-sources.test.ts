import { expect, test } from 'vitest';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import { type Asking, promptsOf, sourcesOf } from './needed-sources.ts';

const BOTH = ['safety', 'helpfulness'];
const opening = { tokens: 3, floor: 0.4 };

test.each<[string, Partial<Line>, Partial<Asking>, string[]]>([
  ['an open line', {}, {}, BOTH],
  ['layers', { mode: 'layers' }, {}, ['safety', 'layers']],
  ['safety_only', { action: 'safety_only' }, {}, ['safety']],
  ['safety_only in layers', { action: 'safety_only', mode: 'layers' }, {}, ['safety']],
  ['floor 1', { floor: 1 }, {}, ['safety']],
  ['floor 1 in layers', { mode: 'layers', floor: 1 }, {}, ['safety']],
  ['floor 1 for the opening only', { opening: { tokens: 100, floor: 1 } }, {}, BOTH],
  ['a budget of 0', { budget: 0 }, {}, ['safety']],
  ['a budget', { budget: 2 }, {}, BOTH],
  ['a budget with a little left', { budget: 2 }, { spent: 2 - 1e-15 }, BOTH],
  ['a budget that is spent', { budget: 2 }, { spent: 2 }, ['safety']],
  ['a budget that is overspent', { budget: 2, mode: 'layers' }, { spent: 3 }, ['safety']],
  ['an earned budget that is used up for now', { earned: { start: 1, rate: 0.1 } }, { spent: 1 }, BOTH],
  ['an earned budget that never grows', { earned: { start: 0, rate: 0 } }, {}, ['safety']],
  ['ceiling 0', { ceiling: 0 }, {}, ['helpfulness']],
  ['ceiling 0 over a router', { ceiling: 0 }, { proposal: null }, ['helpfulness']],
  ['a proposal of 0', {}, { proposal: 0 }, ['helpfulness']],
  [
    'a proposal of 0 for an opening of no tokens',
    { opening: { tokens: 0, floor: 1 } },
    { proposal: 0 },
    ['helpfulness'],
  ],
  ['a proposal of 0 above a floor', { floor: 0.1 }, { proposal: 0 }, BOTH],
  ['a proposal of 0 and an opening', { opening }, { proposal: 0 }, BOTH],
  ['a proposal of 0 and a budget', { budget: 9 }, { proposal: 0 }, BOTH],
  ['a proposal of 0 and an earned budget', { earned: { start: 1, rate: 1 } }, { proposal: 0 }, BOTH],
  ['a proposal of 0 over truncated rows', {}, { proposal: 0, topK: 20 }, BOTH],
  ['floor 1 over truncated rows', { floor: 1 }, { topK: 20 }, BOTH],
  ['a budget of 0 over truncated rows', { budget: 0 }, { topK: 20 }, BOTH],
  ['safety_only over truncated rows', { action: 'safety_only' }, { topK: 20 }, ['safety']],
  ['ceiling 0 in layers', { mode: 'layers', ceiling: 0 }, {}, ['safety', 'layers']],
  ['ceiling 0 under safety_only', { action: 'safety_only', ceiling: 0 }, {}, ['safety']],
])('under %s, an answer asks what can change a token', (_, line, asking, sources) => {
  expect(sourcesOf({ ...OPEN_LINE, ...line }, { proposal: 0.5, topK: null, ...asking })).toEqual(sources);
});

test('each source reads its own prompt, or else the client’s', () => {
  const request = { promptIds: [1], rowPrompts: { safety: [2, 3] } };
  expect(promptsOf(request, ['safety', 'helpfulness'])).toEqual([[2, 3], [1]]);
});
