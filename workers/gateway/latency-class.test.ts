import { expect, test } from 'vitest';
import { REGIONS } from '#shared/protocol/regions.ts';
import { latencyClass, placeOf, regionOf } from './latency-class.ts';

test('the same region is nearest, the distance is the same both ways, and an unknown one is in between', () => {
  for (const from of REGIONS) {
    expect([latencyClass(from, from), latencyClass(from, null), latencyClass(null, from)]).toEqual([0, 1, 1]);
    for (const to of REGIONS) {
      expect(latencyClass(from, to)).toBe(latencyClass(to, from));
      expect(latencyClass(from, to) === 0).toBe(from === to);
    }
  }
  expect(latencyClass('weur', 'eeur')).toBe(1);
  expect(latencyClass('weur', 'oc')).toBe(2);
});

test.each([
  ['San Francisco', 'NA', '-122.4', 'wnam'],
  ['New York', 'NA', '-74.0', 'enam'],
  ['São Paulo', 'SA', '-46.6', 'sam'],
  ['Frankfurt', 'EU', '8.7', 'weur'],
  ['Warsaw', 'EU', '21.0', 'eeur'],
  ['Dubai', 'AS', '55.3', 'me'],
  ['Tokyo', 'AS', '139.7', 'apac'],
  ['Sydney', 'OC', '151.2', 'oc'],
  ['Lagos', 'AF', '3.4', 'afr'],
  ['McMurdo', 'AN', '166.7', null],
])('a client in %s is served from there', (_city, continent, longitude, region) => {
  expect(regionOf({ continent, longitude })).toBe(region);
});

test('without a place, or half of one, nothing is known', () => {
  expect(regionOf(placeOf(new Request('http://edge.example')))).toBeNull();
  expect(regionOf({ continent: 'EU' })).toBeNull();
  expect(regionOf({ continent: 'T1', longitude: '1' })).toBeNull();
});
