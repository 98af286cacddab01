import { expect, test } from 'vitest';
import { readHypotheses } from '../analysis/hypotheses-file.ts';
import { MEASURES } from '../analysis/measures.ts';
import { SET_IDS } from '../questions/sets.ts';
import { METHOD_IDS, methodsOf, runsOf } from './methods.ts';

const METHODS = methodsOf({ defaultWeight: 0.3, routers: ['logits'], study: 'recipes' });

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

test('every hypothesis is about methods of its study that answer its set, with more than one seed unless it is about a bundle', () => {
  const sets = [...SET_IDS, 'prefill'];
  for (const { id, study, about, first, second, set, measure, depth } of readHypotheses().hypotheses) {
    const byId = new Map(methodsOf({ defaultWeight: 0.3, routers: [], study }).map((method) => [method.id, method]));
    for (const method of [first, second]) {
      const { asked, repeated } = byId.get(method)!;
      expect(about === 'bundle' ? asked : repeated, `${id}: ${method}`).toContain(set);
    }
    expect(sets, id).toContain(set);
    expect(Object.keys(MEASURES)).toContain(measure);
    if (depth > 0) expect(set).toMatch(/^prefill/);
    // A real model does not know the world.
    expect(set === 'world' || set === 'prefill').toBe(study === 'world');
  }
});

test('constants are compared with the router at its own mean weight, and say if they are not', () => {
  const matched = (matchedWeight?: number) =>
    methodsOf({ defaultWeight: 0.3, routers: [], study: 'recipes', matchedWeight }).filter(({ id }) =>
      id.includes('matched'),
    );
  expect(matched(0.62)).toHaveLength(3);
  for (const { line, what } of matched(0.62)) {
    expect(line).toMatchObject({ floor: 0.62, ceiling: 0.62 });
    expect(what).toContain("the router's mean under floor 0.3");
  }
  for (const { line, what } of matched()) {
    expect(line).toMatchObject({ floor: 0.3, ceiling: 0.3 });
    expect(what).toContain('not matched');
  }
});

test('the constant weight is the default one of the bundle, and ids do not depend on it', () => {
  const constant = (weight: number) =>
    methodsOf({ defaultWeight: weight, routers: [], study: 'world' }).filter(({ id }) =>
      /^constant-(?!matched)/.test(id),
    );
  expect(constant(0.3).map(({ id }) => id)).toEqual(constant(0.7).map(({ id }) => id));
  expect(constant(0.3).length).toBeGreaterThan(9);
  for (const { label, what } of constant(0.3)) {
    expect(label).toMatch(/^constant 0\.3, /);
    expect(what).toContain('default weight, 0.3, under');
  }
  expect(METHODS.map(({ id }) => id)).toEqual(METHOD_IDS);
});

test('what is served has the routers of the bundle, and a line for each question', () => {
  const served = (routers: readonly ('layers' | 'logits')[]) =>
    methodsOf({ defaultWeight: 0.3, routers, study: 'world' }).filter(({ family }) => family === 'served');
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
    // The safety expert alone is attacked too.
    const attacks = at!.budget === 0 ? ['prefill-behaviours'] : [];
    expect(asked).toEqual(['harmful', 'ordinary', 'waiting', ...attacks]);
    expect(repeated).toEqual([]);
  }
});

test('the frontier is of the bundle that ships, at its own weight, where one is asked', () => {
  const shipped = {
    ...{
      dir: 'bundle',
      digest: 'd'.repeat(64),
      madeBy: null,
      looks: true,
      encode: () => ({ promptIds: [], rowPrompts: {} }),
    },
    ...{ served: { defaultWeight: 0.6, routers: [] }, sampling: { temperature: 1, topP: 1 } },
  };
  const frontier = methodsOf({ defaultWeight: 0.3, routers: [], study: 'recipes', shipped }).filter(
    (method) => method.frontier,
  );
  expect(frontier.map(({ id }) => id)).toEqual(METHODS.filter((method) => method.frontier).map(({ id }) => id));
  for (const method of frontier) {
    expect(method.bundle).toEqual({ kind: 'shipped', digest: shipped.digest });
    expect(method.label).toMatch(/^constant 0\.6, /);
    expect(runsOf(method)).toEqual([]);
  }
});
