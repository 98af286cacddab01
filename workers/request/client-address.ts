/** Whose address a request comes from, for bounds on what one address may do. */

/**
 * The name under which an address is counted. Whoever has one IPv6 address has 2^64 of them, so
 * those count by their first 64 bits. Cloudflare sets the header and lets no client set it. null:
 * nobody set it, as on a local stack.
 */
export function clientAddress(request: Pick<Request, 'headers'>): string | null {
  const address = request.headers.get('cf-connecting-ip');
  return address?.includes(':') ? firstHalf(address) : address;
}

/** The first four of the eight groups. `::` stands for as many zeros as are missing. */
function firstHalf(address: string): string {
  const [head = '', tail] = address.toLowerCase().split('::');
  const groupsOf = (text: string) => (text === '' ? [] : text.split(':'));
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const groups = [...before, ...zeros, ...after].map((group) => group.replace(/^0+(?=.)/, ''));
  return `${groups.slice(0, 4).join(':')}::/64`;
}
