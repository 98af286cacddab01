import { expect, test } from 'vitest';
import { reliabilityPlot } from './reliability-plot.ts';

const panel = (name: string) => ({
  name,
  before: [{ rows: 10, probability: 0.1, target: 0.5 }],
  after: [
    { rows: 1000, probability: 0.1, target: 0.1 },
    { rows: 1, probability: 0.9, target: 1 },
  ],
});

test('draws a square for each label and a point for each bin, in the right place and larger for more rows', () => {
  const svg = reliabilityPlot([panel('hate'), panel('violence')]);
  expect(svg.match(/<g /g)).toHaveLength(2);
  expect(svg).toContain('<text y="-6">violence</text>');
  // The legend adds one circle of each kind.
  expect(svg.match(/<circle /g)).toHaveLength(2 * 3 + 2);
  expect(svg).toContain('<circle cx="15" cy="135" r="4" fill="#1f6feb"');
  expect(svg).toContain('<circle cx="15" cy="75" r="2" fill="none"');
  expect(svg).toContain('<circle cx="135" cy="0" r="1" fill="#1f6feb"');
});

test('is well-formed: every element that opens also closes', () => {
  const open: string[] = [];
  for (const [, close, name, end] of reliabilityPlot([panel('hate')]).matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (close) expect(open.pop()).toBe(name);
    else if (!end) open.push(name!);
  }
  expect(open).toEqual([]);
});
