import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopMatcher } from './stop-matcher.ts';

/** The text that is sent if the pieces arrive one by one, and whether a stop string ended it. */
function run(pieces: string[], stops: string[]) {
  const matcher = new StopMatcher(stops);
  let sent = '';
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    sent += text;
    if (stopped) return { text: sent, stopped };
  }
  return { text: sent + matcher.flush(), stopped: false };
}

test.each([
  [['hello'], [], 'hello', false],
  [['a#', '##b'], ['###'], 'a', true],
  [['a#', '#b'], ['###'], 'a##b', false],
  [['aab', 'aac'], ['aac'], 'aab', true],
  [['abc'], ['bc', 'ab'], '', true],
  [['ab', 'ab', 'c'], ['abc'], 'ab', true],
  [['x', 'y'], ['z', 'xyz'], 'xy', false],
  [['abcd'], ['bcd', 'c'], 'ab', true],
  [['a', 'b', 'c', 'd'], ['bcd', 'c'], 'ab', true],
  [['abc'], ['c', 'bc', 'abcd'], 'a', true],
])('finds the right end of %j with stops %j', (pieces, stops, text, stopped) => {
  expect(run(pieces, stops)).toEqual({ text, stopped });
});

test('holds back only what could become a stop string', () => {
  const matcher = new StopMatcher(['STOP']);
  expect(matcher.push('a ST').text).toBe('a ');
  expect(matcher.push('x').text).toBe('STx');
});

test('ends the text before the first stop string, however the text is cut into pieces', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 }), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), stops, (pieces, stopStrings) => {
      const whole = pieces.join('');
      // The slow way: generation stops at the first prefix that ends with a stop string.
      let expected = { text: whole, stopped: false };
      for (let end = 0; end <= whole.length && !expected.stopped; end++) {
        const ending = stopStrings.filter((stop) => whole.slice(0, end).endsWith(stop));
        if (ending.length > 0) {
          expected = { text: whole.slice(0, end - Math.max(...ending.map((stop) => stop.length))), stopped: true };
        }
      }
      const byCharacter = run([...whole], stopStrings);
      expect(byCharacter).toEqual(expected);
      expect(run(pieces, stopStrings)).toEqual(expected);
    }),
  );
});

test('a stop string that is complete while the answer may not end is text, and a later one still ends it', () => {
  const letters = (minLength: number, maxLength: number) =>
    fc.string({ unit: fc.constantFrom('a', 'b'), minLength, maxLength });
  const given = fc.record({
    pieces: fc.array(letters(0, 4), { maxLength: 6 }),
    stops: fc.array(letters(1, 3), { maxLength: 3 }),
    bound: fc.nat(4),
  });
  fc.assert(
    fc.property(given, ({ pieces, stops, bound }) => {
      const matcher = new StopMatcher(stops);
      let [sent, stopped] = ['', false];
      for (let i = 0; i < pieces.length && !stopped; i++) {
        const pushed = matcher.push(pieces[i]!, { mayStop: i >= bound });
        sent += pushed.text;
        stopped = pushed.stopped;
      }
      if (!stopped) sent += matcher.flush();
      // The slow way: the first end beyond the bound at which some stop string is complete.
      const whole = pieces.join('');
      const from = pieces.slice(0, bound).join('').length;
      let expected = { sent: whole, stopped: false };
      for (let end = from + 1; end <= whole.length && !expected.stopped; end++) {
        const ending = stops.filter((stop) => whole.slice(0, end).endsWith(stop));
        if (ending.length > 0) {
          expected = { sent: whole.slice(0, end - Math.max(...ending.map(({ length }) => length))), stopped: true };
        }
      }
      expect({ sent, stopped }).toEqual(expected);
    }),
    { numRuns: 2000 },
  );
});

test('gives the same texts if its state is saved and restored as JSON at any point', () => {
  const text = (maxLength: number, minLength = 0) =>
    fc.string({ unit: fc.constantFrom('a', 'b', '😀', '\u2028'), minLength, maxLength });
  const given = fc.record({
    pieces: fc.array(text(4), { maxLength: 8 }),
    stops: fc.array(text(4, 1), { maxLength: 3 }),
    cuts: fc.array(fc.nat(8), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(given, ({ pieces, stops, cuts }) => {
      const whole = new StopMatcher(stops);
      let cut = new StopMatcher(stops);
      for (const [i, piece] of pieces.entries()) {
        if (cuts.includes(i)) cut = new StopMatcher(stops, JSON.parse(JSON.stringify(cut.state())));
        expect(cut.push(piece)).toEqual(whole.push(piece));
      }
      expect(cut.flush()).toBe(whole.flush());
    }),
    { numRuns: 500 },
  );
});
