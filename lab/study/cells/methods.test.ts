import { expect, test } from 'vitest';
import { readHypotheses } from '../analysis/hypotheses-file.ts';
import { MEASURES } from '../analysis/measures.ts';
import { SET_IDS } from '../questions/sets.ts';
import { METHOD_IDS, methodsOf, runsOf } from './methods.ts';

const METHODS = methodsOf({ defaultWeight: 0.3, routers: ['logits'] });

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
    for (const method of [first, second]) expect(byId.get(method)?.repeated, `${id}: ${method}`).toBe('everything');
    expect(sets, id).toContain(set);
    expect(Object.keys(MEASURES)).toContain(measure);
    if (depth > 0) expect(set).toMatch(/^prefill/);
  }
});

test('the constant weight is the default one of the bundle, and ids do not depend on it', () => {
  const constant = (weight: number) =>
    methodsOf({ defaultWeight: weight, routers: [] }).filter(({ id }) => id.startsWith('constant-'));
  expect(constant(0.3).map(({ id }) => id)).toEqual(constant(0.7).map(({ id }) => id));
  expect(constant(0.3).length).toBeGreaterThan(10);
  for (const { label, what } of constant(0.3)) {
    expect(label).toMatch(/^constant 0\.3, /);
    expect(what).toContain('default weight, 0.3, under');
  }
  expect(METHODS.map(({ id }) => id)).toEqual(METHOD_IDS);
});

test('what is served has the routers of the bundle, and a line for each question', () => {
  const served = (routers: readonly ('layers' | 'logits')[]) =>
    methodsOf({ defaultWeight: 0.3, routers }).filter(({ family }) => family === 'served');
  expect(served([]).map(({ id }) => id)).toEqual(['strict', 'balanced', 'open']);
  for (const { line, bundle, what } of served([])) {
    expect(line).toHaveProperty('tenant');
    expect(bundle).toMatchObject({ routers: [] });
    expect(what).toContain('its default weight, 0.3,');
  }
  for (const { what } of served(['layers', 'logits'])) expect(what).toContain('its router over the logits');
});

test('the frontier goes from a budget of 0 to 20, with earned budgets, and answers real sets too', () => {
  const frontier = METHODS.filter((method) => method.frontier);
  const whole = frontier.flatMap((method) => (method.frontier!.earned ? [] : [method.frontier!.budget]));
  expect(whole).toEqual([0, 1, 2, 4, 8, 12, 20]);
  expect(frontier.length).toBeGreaterThan(whole.length);
  for (const { line, frontier: at, asked, repeated } of frontier) {
    expect(line).toMatchObject({ floor: 0, ...at });
    expect(asked).toEqual(['world', 'harmful', 'ordinary']);
    expect(repeated).toEqual([]);
  }
});
