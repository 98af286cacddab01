/** Licences as the hub spells them, by their SPDX identifier where that has other letters. */
const SPDX = ['Apache-2.0', 'MIT', 'BSD-3-Clause', 'CC-BY-4.0', 'CC-BY-SA-4.0', 'CC-BY-NC-4.0', 'GPL-3.0'];

/**
 * The SPDX identifier for what a model's file calls its licence. NOASSERTION is SPDX's own word for
 * a licence that nobody has told.
 */
export function spdxOf(name: string | undefined): string {
  if (name === undefined) return 'NOASSERTION';
  const known = SPDX.find((id) => id.toLowerCase() === name.toLowerCase());
  return known ?? `LicenseRef-${name.replace(/[^A-Za-z0-9.-]/g, '-')}`;
}
