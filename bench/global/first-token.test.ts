import { expect, test } from 'vitest';
import { firstTokens, NEW_CONNECTION, OPEN_CONNECTION, poolsFor, readRoundTrips, roundTrip } from './first-token.ts';

const table = readRoundTrips();
const pools = ['Washington DC', 'Frankfurt', 'Tokyo'];

test('a round trip is read from its row, and within a city it is short', () => {
  expect(roundTrip(table, 'Dallas', 'Toronto')).toBe(33);
  expect(roundTrip(table, 'Toronto', 'Dallas')).toBe(34);
  expect(roundTrip(table, 'Tokyo', 'Tokyo')).toBe(2);
  expect(() => roundTrip(table, 'Tokyo', 'Atlantis')).toThrow('found no way from Tokyo to Atlantis');
});

test.each([
  ['Dallas', ['Washington DC']],
  ['Madrid', ['Frankfurt']],
  ['Sydney', ['Tokyo']],
  ['Sao Paulo', ['Washington DC']],
])('a request from %s goes to %j', (client, expected) => {
  expect(poolsFor(table, client, pools)).toEqual(expected);
});

test('a first token takes the trips of its way and the service time', () => {
  const edge = firstTokens(table, { pools, gateway: null, clientTrips: OPEN_CONNECTION, tenantsAt: null }, [10]);
  // From the client to its edge 2 ms, from there to the pool, and 10 ms of service.
  const ways = [31, 19, 2, 2, 13, 29, 9, 115, 2, 118].map((ms) => 2 + ms + 10).sort((a, b) => a - b);
  expect([...new Set(edge)]).toEqual([...new Set(ways)]);
  const central = { pools: ['Washington DC'], gateway: 'Washington DC', tenantsAt: null };
  const far = firstTokens(table, { ...central, clientTrips: NEW_CONNECTION }, [10]);
  expect([far[0], far.at(-1)]).toEqual([3 * 2 + 2 + 10, 3 * 214 + 2 + 10]);
});

test('every city counts the same, however many pools its requests are spread over', () => {
  const three = ['Frankfurt', 'London', 'Tokyo'];
  const times = firstTokens(table, { pools: three, gateway: null, clientTrips: OPEN_CONNECTION, tenantsAt: null }, [0]);
  expect(times).toHaveLength(10 * 6);
  // Madrid's go to both pools of Europe in equal parts, Sydney's all to Tokyo.
  const count = (ms: number) => times.filter((each) => each === ms).length;
  expect([count(2 + 29), count(2 + 27), count(2 + 115)]).toEqual([3, 3, 6]);
});
