/**
 * The classifier's file. Little-endian, in this order:
 *
 *     4 bytes  "PLMC"
 *     uint32   format version; it also rises when features.ts hashes differently, because the
 *              weights' rows are its buckets
 *     8 bytes  checksum of all that follows; in hex it is also the model's version
 *     uint32   length of the header in bytes
 *     header   JSON, UTF-8: bits; per label its bias, scale and calibration; bias and scale of the
 *              harm column; the calibration of `any_harm`; the lexicon's words by falling
 *              frequency, one space between two
 *     int8     weights [2^bits, labels + 1], the harm column last
 *
 * The checksum finds accidents, not forgers: the file travels inside the Worker, and the Worker's
 * deployment vouches for it.
 */
export const FORMAT_VERSION = 4;
const MAGIC = 'PLMC';
const CHECKED_FROM = 16;
const HEADER_AT = 20;
const MAX_BITS = 22;

/** One linear score: bias + scale * the sum of int8 weights. */
export type ColumnModel = { bias: number; scale: number };
/** Platt: probability = sigmoid(slope * log-odds + offset). */
export type Calibration = { slope: number; offset: number };
type LabelModel = ColumnModel & { label: string; calibration: Calibration };

export type ClassifierModel = {
  version: string;
  bits: number;
  labels: LabelModel[];
  /** Whether there is any harm at all; see combine-scores.ts. */
  harm: ColumnModel;
  anyHarm: { calibration: Calibration };
  /** By falling frequency; see lexicon.ts. */
  words: string[];
  /** [2^bits, labels + 1] */
  weights: Int8Array;
};

export class ModelFormatError extends Error {
  override name = 'ModelFormatError';
  constructor(message: string, options?: ErrorOptions) {
    super(`classifier model: ${message}`, options);
  }
}

export function encodeModel({
  bits,
  labels,
  harm,
  anyHarm,
  words,
  weights,
}: Omit<ClassifierModel, 'version'>): Uint8Array<ArrayBuffer> {
  const header = new TextEncoder().encode(
    JSON.stringify({ bits, labels, harm, any_harm: anyHarm, words: words.join(' ') }),
  );
  const bytes = new Uint8Array(HEADER_AT + header.length + weights.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC), 0);
  view.setUint32(4, FORMAT_VERSION, true);
  view.setUint32(CHECKED_FROM, header.length, true);
  bytes.set(header, HEADER_AT);
  bytes.set(new Uint8Array(weights.buffer, weights.byteOffset, weights.length), HEADER_AT + header.length);
  const [low, high] = checksum(bytes.subarray(CHECKED_FROM));
  view.setUint32(8, low, true);
  view.setUint32(12, high, true);
  return bytes;
}

/**
 * The weights are a view into `file`, not a copy. Throws a `ModelFormatError` that says what was
 * found and what was expected.
 */
export function decodeModel(file: ArrayBuffer): ClassifierModel {
  const bytes = new Uint8Array(file);
  if (bytes.length < HEADER_AT) throw new ModelFormatError(`${bytes.length} bytes are too few for a model`);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== MAGIC) throw new ModelFormatError(`begins with ${JSON.stringify(magic)}, not "${MAGIC}"`);
  const view = new DataView(file);
  const format = view.getUint32(4, true);
  if (format !== FORMAT_VERSION) throw new ModelFormatError(`format ${format}, this code reads ${FORMAT_VERSION}`);
  const [low, high] = checksum(bytes.subarray(CHECKED_FROM));
  if (view.getUint32(8, true) !== low || view.getUint32(12, true) !== high) {
    throw new ModelFormatError('the checksum does not match: the file is cut off or damaged');
  }
  const weightsAt = HEADER_AT + view.getUint32(CHECKED_FROM, true);
  if (weightsAt > bytes.length) throw new ModelFormatError('the header is longer than the file');
  const header = parseHeader(bytes.subarray(HEADER_AT, weightsAt));
  const wanted = 2 ** header.bits * (header.labels.length + 1);
  if (bytes.length - weightsAt !== wanted) {
    throw new ModelFormatError(`${bytes.length - weightsAt} weights, the header promises ${wanted}`);
  }
  return { version: hex(high) + hex(low), ...header, weights: new Int8Array(file, weightsAt, wanted) };
}

function parseHeader(bytes: Uint8Array): Omit<ClassifierModel, 'version' | 'weights'> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new ModelFormatError('the header is not JSON', { cause });
  }
  const { bits, labels, harm, any_harm: anyHarm, words } = Object(header) as Record<string, unknown>;
  if (typeof bits !== 'number' || !Number.isInteger(bits) || bits < 1 || bits > MAX_BITS) {
    throw new ModelFormatError(`header.bits is ${JSON.stringify(bits)}, not a whole number from 1 to ${MAX_BITS}`);
  }
  if (!Array.isArray(labels) || labels.length === 0) throw new ModelFormatError('header.labels is no list of labels');
  return {
    bits,
    labels: labels.map(parseLabel),
    harm: parseColumn(harm, 'header.harm'),
    anyHarm: { calibration: parseCalibration(anyHarm, 'header.any_harm') },
    words: parseWords(words),
  };
}

function parseWords(words: unknown): string[] {
  if (typeof words !== 'string') throw new ModelFormatError(`header.words is ${typeof words}, not words in a string`);
  const list = words === '' ? [] : words.split(' ');
  const odd = list.find((word) => !/^[a-z']+$/.test(word));
  if (odd !== undefined)
    throw new ModelFormatError(`header.words has ${JSON.stringify(odd)}, not a word in small letters`);
  return list;
}

function parseLabel(entry: unknown, index: number): LabelModel {
  const where = `header.labels[${index}]`;
  const { label } = Object(entry) as Record<string, unknown>;
  if (typeof label !== 'string') throw new ModelFormatError(`${where}.label is ${JSON.stringify(label)}, not a string`);
  return { label, ...parseColumn(entry, where), calibration: parseCalibration(entry, where) };
}

function parseCalibration(entry: unknown, where: string): Calibration {
  const { calibration } = Object(entry) as Record<string, unknown>;
  const { slope, offset } = Object(calibration) as Record<string, unknown>;
  return {
    slope: finite(slope, `${where}.calibration.slope`),
    offset: finite(offset, `${where}.calibration.offset`),
  };
}

function parseColumn(entry: unknown, where: string): ColumnModel {
  const { bias, scale } = Object(entry) as Record<string, unknown>;
  return { bias: finite(bias, `${where}.bias`), scale: finite(scale, `${where}.scale`) };
}

function finite(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new ModelFormatError(`${where} is ${JSON.stringify(value)}, not a finite number`);
}

/**
 * Two 32-bit multiply-xor hashes with different primes, in one pass. This takes a millisecond per
 * megabyte, while SHA-256 is asynchronous here.
 */
function checksum(bytes: Uint8Array): [low: number, high: number] {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x85ebca6b);
    high ^= high >>> 15;
  }
  return [low >>> 0, high >>> 0];
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0');
}
