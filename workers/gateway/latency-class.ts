/**
 * How far a backend is, in three classes: the same region, a neighbour, elsewhere. Finer would not
 * pay: within a class, kept prefixes and load matter more than the milliseconds between two cities.
 */
import type { Region } from '#shared/protocol/regions.ts';

export type LatencyClass = 0 | 1 | 2;

/** Regions that traffic goes between without crossing a third one. */
const NEIGHBOURS: readonly (readonly [Region, Region])[] = [
  ['wnam', 'enam'],
  ['enam', 'sam'],
  ['enam', 'weur'],
  ['weur', 'eeur'],
  ['weur', 'afr'],
  ['weur', 'me'],
  ['eeur', 'me'],
  ['wnam', 'apac'],
  ['apac', 'oc'],
];

/** A region that is not known counts as a neighbour: neither preferred nor kept for last. */
export function latencyClass(from: Region | null, to: Region | null): LatencyClass {
  if (from === null || to === null) return 1;
  if (from === to) return 0;
  return NEIGHBOURS.some((pair) => pair.includes(from) && pair.includes(to)) ? 1 : 2;
}

/** What Cloudflare says about where a request came from. On a laptop it says nothing. */
export type Place = { continent?: unknown; longitude?: unknown };

export function placeOf(request: object): Place | undefined {
  // The cast: only workerd's requests have this field, so the types of other runtimes lack it.
  return (request as { cf?: Place }).cf;
}

/**
 * The region of an edge, from where its client is: Workers run in the data centre that is nearest
 * to the client. Continents that have two regions are cut at a longitude, in degrees east: America
 * at Denver, Europe at Vienna, Asia behind Tehran.
 */
export function regionOf(place: Place | undefined): Region | null {
  const longitude = Number(place?.longitude ?? Number.NaN);
  const split = (atDegrees: number, west: Region, east: Region) => {
    if (Number.isNaN(longitude)) return null;
    return longitude < atDegrees ? west : east;
  };
  switch (place?.continent) {
    case 'NA':
      return split(-105, 'wnam', 'enam');
    case 'SA':
      return 'sam';
    case 'EU':
      return split(16, 'weur', 'eeur');
    case 'AS':
      return split(60, 'me', 'apac');
    case 'AF':
      return 'afr';
    case 'OC':
      return 'oc';
    default:
      return null;
  }
}
