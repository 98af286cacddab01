/**
 * When the first token arrives, computed: published round trips between cities plus service times
 * that were measured on one machine. Nothing here goes over a network.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { latencyClass, regionOf } from '#workers/gateway/latency-class.ts';

const City = z.strictObject({ name: z.string(), continent: z.string(), longitude: z.number() });
const RoundTrips = z
  .strictObject({
    source: z.string(),
    url: z.url(),
    unit: z.string(),
    within_a_city: z.strictObject({ ms: z.number().positive(), source: z.string() }),
    cities: z.array(City).length(10),
    /** From a row's city to a column's. null: the same city. */
    ms: z.array(z.array(z.number().positive().nullable()).length(10)).length(10),
  })
  .refine(({ ms }) => ms.every((row, i) => row.every((each, j) => (each === null) === (i === j))), {
    path: ['ms'],
    message: 'expected null where a city meets itself, and nowhere else',
  });
export type RoundTrips = z.infer<typeof RoundTrips>;

export function readRoundTrips(): RoundTrips {
  return RoundTrips.parse(JSON.parse(readFileSync(new URL('./round-trips.json', import.meta.url), 'utf8')));
}

/** Milliseconds there and back. Throws if a city is not in the table. */
export function roundTrip({ cities, ms, within_a_city }: RoundTrips, from: string, to: string): number {
  const [row, column] = [from, to].map((name) => cities.findIndex((city) => city.name === name));
  const found = ms[row!]?.[column!];
  if (found === undefined) throw new Error(`the round trips: found no way from ${from} to ${to}`);
  return found ?? within_a_city.ms;
}

/**
 * The pools that an edge asks first, by the edge's own classes of latency. If several are in the
 * best class, requests are spread over them.
 */
export function poolsFor({ cities }: RoundTrips, client: string, pools: readonly string[]): string[] {
  const regionIn = (name: string) => regionOf(cities.find((city) => city.name === name));
  const classes = pools.map((pool) => latencyClass(regionIn(client), regionIn(pool)));
  const best = Math.min(...classes);
  return pools.filter((_, i) => classes[i] === best);
}

export type Layout = {
  /** Where answers are drawn. */
  pools: readonly string[];
  /** null: each client has an edge in its own city. Else the city of the one gateway. */
  gateway: string | null;
  /** Round trips between a client and what answers it, the request itself included. */
  clientTrips: number;
  /** Where an edge must ask about the tenant first. null: it knows. */
  tenantsAt: string | null;
};

/** On a connection that is open, and on a new one (TCP, then TLS 1.3). */
export const OPEN_CONNECTION = 1;
export const NEW_CONNECTION = 3;
/** An edge that knows nothing asks the index and the tenant's own object. */
const TRIPS_FOR_A_TENANT = 2;

/**
 * The times of a first token over all cities, each with as many clients, ascending, in ms.
 *
 * @param serviceMs measured: from a request until its first token, with everything on one machine
 */
export function firstTokens(table: RoundTrips, layout: Layout, serviceMs: readonly number[]): number[] {
  const { pools, gateway, clientTrips, tenantsAt } = layout;
  // A number that each count of pools divides.
  const shares = pools.reduce((product, _, i) => product * (i + 1), 1);
  const times = table.cities.flatMap(({ name: client }) => {
    const edge = gateway ?? client;
    const nearest = poolsFor(table, edge, pools);
    return nearest.flatMap((pool) => {
      const tenants = tenantsAt === null ? 0 : TRIPS_FOR_A_TENANT * roundTrip(table, edge, tenantsAt);
      const network = clientTrips * roundTrip(table, client, edge) + tenants + roundTrip(table, edge, pool);
      // Cities with one pool count as often as those with several.
      return Array.from({ length: shares / nearest.length }, () => serviceMs.map((ms) => ms + network)).flat();
    });
  });
  return times.sort((a, b) => a - b);
}
