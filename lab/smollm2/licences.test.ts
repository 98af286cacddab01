import { expect, test } from 'vitest';
import { licenceOf } from '#training/data/licences.ts';
import { LICENCES } from '../classifier/licences.ts';
import { SOURCES } from './sources.ts';

test('the tables of sources agree on every licence that lets anyone use the weights', () => {
  const open = Object.entries(LICENCES).filter(([, { inWeights }]) => inWeights);
  for (const [name, licence] of [
    ...open.map(([source, line]) => [source, line.licence] as const),
    ...Object.entries(SOURCES).map(([source, line]) => [source, line.licence] as const),
  ]) {
    const known = licenceOf(name);
    if (known !== null) expect(known, name).toBe(licence);
  }
});

test('no source whose data the classifier leaves out for its licence counts as open', () => {
  for (const [name, { licence, inWeights, reason }] of Object.entries(LICENCES)) {
    const known = licenceOf(name);
    if (inWeights || known === null || /^permissive/.test(reason)) continue;
    expect([licence, 'NOASSERTION', 'CC-BY-NC-SA-4.0'], name).toContain(known);
    expect(['Apache-2.0', 'MIT'], name).not.toContain(known);
  }
});
