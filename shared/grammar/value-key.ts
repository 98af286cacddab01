/** One text for each JSON value: the order of members does not matter. */
export function valueKey(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'nothing';
  if (Array.isArray(value)) return `[${value.map(valueKey).join()}]`;
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${valueKey(member)}`);
  return `{${members.sort().join()}}`;
}
