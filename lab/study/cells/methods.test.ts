import { expect, test } from 'vitest';
import { readHypotheses } from '../analysis/hypotheses-file.ts';
import { MEASURES } from '../analysis/measures.ts';
import { SET_IDS } from '../questions/sets.ts';
import { METHODS, runsOf } from './methods.ts';

test('every method has an id of its own, and a decoder runs only under the open line', () => {
  const ids = METHODS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { decoder, line, bundle } of METHODS) {
    if (!decoder) continue;
    expect(line).toMatchObject({ action: 'mix', floor: 0, ceiling: 1, budget: null });
    expect(bundle.kind).toBe('pair');
  }
});

test('methods that are only told what to do need no training', () => {
  for (const { id, bundle, system } of METHODS) {
    if (bundle.kind === 'prompted' || system !== undefined) {
      expect(runsOf(METHODS.find((method) => method.id === id)!)).toEqual([]);
    }
  }
});

test('every hypothesis is about methods of the grid that answer its set with more than one seed', () => {
  const byId = new Map(METHODS.map((method) => [method.id, method]));
  const sets = [...SET_IDS, 'prefill'];
  for (const { id, first, second, set, measure, depth } of readHypotheses().hypotheses) {
    for (const method of [first, second]) expect(byId.get(method)?.headline, `${id}: ${method}`).toBe(true);
    expect(sets, id).toContain(set);
    expect(Object.keys(MEASURES)).toContain(measure);
    if (depth > 0) expect(set).toMatch(/^prefill/);
  }
});
