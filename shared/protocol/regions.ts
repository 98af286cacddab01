/**
 * Where in the world a backend or an edge is. The names are Cloudflare's location hints for Durable
 * Objects, because those are the regions that an edge can work out for itself.
 */
export const REGIONS = ['wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'oc', 'afr', 'me'] as const;
export type Region = (typeof REGIONS)[number];
