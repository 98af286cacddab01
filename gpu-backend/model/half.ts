/**
 * IEEE 754 half precision by hand: Node 22 has no `Float16Array`, and it must load bundles too.
 * Decoding looks up one of all 65,536 halves in a table. Encoding rounds to nearest, ties to even.
 */
const bits = new Uint32Array(1);
const value = new Float32Array(bits.buffer);

let table: Float32Array | undefined;

function decodeTable(): Float32Array {
  if (table) return table;
  table = new Float32Array(65_536);
  for (let half = 0; half < 65_536; half++) {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) table[half] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[half] = fraction === 0 ? sign * Infinity : Number.NaN;
    else table[half] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

export function decodeHalf(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const lookup = decodeTable();
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = lookup[halves[i]!]!;
  return out;
}

function encodeOne(single: number): number {
  value[0] = single;
  const word = bits[0]!;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // would round past 65504
  if (magnitude < 0x38800000) {
    // A subnormal half is a multiple of 2^-24. The product is exact; adding 2^52 rounds it, ties to
    // even.
    const multiple = Math.abs(value[0]) * 2 ** 24 + 2 ** 52 - 2 ** 52;
    return sign | multiple;
  }
  const roundUp = 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((magnitude - 0x38000000 + roundUp) >>> 13);
}

export function encodeHalf(singles: Float32Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(singles.length);
  for (let i = 0; i < singles.length; i++) out[i] = encodeOne(singles[i]!);
  return out;
}
