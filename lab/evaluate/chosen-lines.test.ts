import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { HELPFULNESS_ALONE, SAFETY_ALONE } from './answer-prompts.ts';
import { DEFAULT_LINES, LINE_NAMES, lineOf } from './chosen-lines.ts';

test('lines have names, and anybody may write their own', () => {
  expect(lineOf('safety')).toEqual(SAFETY_ALONE);
  expect(lineOf('helpfulness')).toEqual(HELPFULNESS_ALONE);
  expect(lineOf('strict')).toEqual({ ...OPEN_LINE, floor: 0.9, budget: 2 });
  expect(lineOf('layers')).toEqual({ ...OPEN_LINE, mode: 'layers' });
  expect(lineOf('floor=0.5,budget=4,rule=arithmetic')).toEqual({
    ...OPEN_LINE,
    floor: 0.5,
    budget: 4,
    rule: 'arithmetic',
  });
  for (const name of DEFAULT_LINES) expect(LINE_NAMES).toContain(name);
});

test.each(['strictest', 'floor=', 'floor=2', 'floor=much', 'mode=both', 'flor=0.5'])('%s is no line', (text) => {
  expect(() => lineOf(text)).toThrow('--lines: found "');
  expect(() => lineOf(text)).toThrow(
    'wanted one of safety, helpfulness, strict, balanced, open, layers, or one of your',
  );
});
