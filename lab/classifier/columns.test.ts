import { expect, test } from 'vitest';
import { HARM_COLUMN } from '#shared/classify/combine-scores.ts';
import { CATEGORIES, LABELS, type Label } from '#shared/line/categories.ts';
import { columnTargets, harmOf } from './columns.ts';
import { BENIGN, HARM_UNKNOWN, targetsOf } from './example.ts';

const columnsOf = (targets: readonly (number | null)[], someHarm = false) => {
  const columns = columnTargets({ targets, someHarm });
  return { of: (label: Label) => columns[LABELS.indexOf(label)], harm: columns[HARM_COLUMN] };
};

test('a benign prompt teaches the harm and jailbreak columns, but no category', () => {
  const columns = columnsOf(BENIGN);
  expect(columns.harm).toBe(0);
  expect(columns.of('jailbreak')).toBe(0);
  for (const category of CATEGORIES) expect(columns.of(category)).toBeNull();
});

test('a harmful prompt teaches its category, denies distant ones and leaves its neighbours open', () => {
  const columns = columnsOf(targetsOf(['privacy']));
  expect(columns.harm).toBe(1);
  expect(columns.of('privacy')).toBe(1);
  expect(columns.of('animal_abuse')).toBe(0);
  expect(columns.of('cybercrime')).toBeNull();
});

test('a borderline prompt leaves the harm in doubt, but not its kind', () => {
  const columns = columnsOf(targetsOf(['self_harm'], { value: 0.7 }));
  expect(columns.harm).toBe(0.7);
  expect(columns.of('self_harm')).toBe(1);
});

test('"some harm" is harm of no known kind, and a jailbreak may carry any harm', () => {
  expect(harmOf({ targets: HARM_UNKNOWN, someHarm: true })).toBe(1);
  expect(columnsOf(HARM_UNKNOWN, true).of('hate')).toBeNull();
  const jailbreak = columnsOf(targetsOf(['jailbreak']));
  expect(jailbreak.of('jailbreak')).toBe(1);
  expect(jailbreak.harm).toBeNull();
});
