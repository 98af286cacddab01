/** Tests what the experts' contract (testing/experts-contract.ts) cannot see from outside. */
import { expect, test } from 'vitest';
import { SequenceError, Sequences } from './sequences.ts';

const abilities = {
  hidden: false,
  layers: true,
  fork: true,
  score: true,
  draft: 0,
  sums: false,
  prefixes: false,
  topK: null,
};
const table = () => new Sequences<string>({ vocabSize: 10, abilities });

test('names each mistake, and readies the other steps', () => {
  const sequences = table();
  const [a, b] = [sequences.open('safety', ''), sequences.open('layers', '')];
  const messages = (steps: Parameters<typeof sequences.ready>[0]) =>
    sequences.ready(steps).map((one) => (one instanceof SequenceError ? one.message : 'ready'));
  expect(
    messages([
      { sequence: a, ids: [] },
      { sequence: b, ids: [1] },
    ]),
  ).toEqual(['a step needs at least one token', 'a step of a layers sequence needs bounds']);
  expect(
    messages([
      { sequence: a, ids: [10] },
      { sequence: 77, ids: [1] },
    ]),
  ).toEqual(['a step holds a token outside 0..9', 'there is no open sequence 77']);
  expect(
    messages([
      { sequence: a, ids: [1] },
      { sequence: a, ids: [2] },
    ]),
  ).toEqual(['ready', `sequence ${a} has two steps in one append`]);
  expect(messages([{ sequence: a, ids: [1, 2], want: { positions: 3 } }])).toEqual(['2 tokens have no 3 positions']);
  expect(messages([{ sequence: a, ids: [1], want: { hidden: true } }])).toEqual([
    'these experts give no hidden states',
  ]);
  expect(messages([{ sequence: b, ids: [1], bounds: { floor: 0, ceiling: 1 } }])).toEqual(['ready']);
});

test('refuses a fork while a step is under way, then copies the sequence’s own data', () => {
  const sequences = table();
  const id = sequences.open('helpfulness', 'own');
  const settled = [sequences.enter([{ sequence: id, ids: [1] }]), sequences.enter([{ sequence: id, ids: [2] }])];
  for (const settle of settled) {
    expect(() => sequences.fork(id, (own) => own)).toThrow(`a step of sequence ${id} is under way`);
    settle();
  }
  const fork = sequences.fork(id, (own) => `${own}, copied`);
  expect(sequences.get(fork)).toEqual({
    source: 'helpfulness',
    length: 0,
    underWay: 0,
    sums: null,
    own: 'own, copied',
  });
});

test('no sequence holds a closed handle, even after another one opens', () => {
  const sequences = table();
  const id = sequences.open('safety', 'first');
  const sequence = sequences.get(id);
  const settle = sequences.enter([
    { sequence: id, ids: [1] },
    { sequence: 99, ids: [1] },
  ]);
  expect(sequences.holds(id, sequence)).toBe(true);
  expect([sequences.close(id), sequences.close(id)]).toEqual(['first', undefined]);
  expect(sequences.open('safety', 'second')).not.toBe(id);
  expect(sequences.holds(id, sequence)).toBe(false);
  expect(settle).not.toThrow();
  expect(sequences.size).toBe(1);
});
