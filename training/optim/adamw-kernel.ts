/**
 * AdamW's two loops over all weights, in WebAssembly's text format. They process four float32
 * numbers at a time, whereas JavaScript processes one, in float64. All arrays are in one
 * WebAssembly memory. Each starts at a multiple of 16 bytes and is padded with zeros, which stay
 * zeros.
 */
import wabt from 'wabt';

/** Floats in one vector. */
const LANES = 4;
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
const PAGE_BYTES = 65_536;
/** The largest WebAssembly memory: 4 GiB. */
const MAX_PAGES = 65_536;

const TEXT = `(module
  (import "adamw" "memory" (memory 0))

  ;; The sum of squares of the floats in [from, end), in float64, where the squares of float32 numbers do not overflow.
  (func (export "sumOfSquares") (param $from i32) (param $end i32) (result f64)
    (local $x v128) (local $low v128) (local $high v128) (local $sumLow v128) (local $sumHigh v128)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $x (v128.load (local.get $from)))
        (local.set $low (f64x2.promote_low_f32x4 (local.get $x)))
        (local.set $high (f64x2.promote_low_f32x4
          (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $x) (local.get $x))))
        (local.set $sumLow (f64x2.add (local.get $sumLow) (f64x2.mul (local.get $low) (local.get $low))))
        (local.set $sumHigh (f64x2.add (local.get $sumHigh) (f64x2.mul (local.get $high) (local.get $high))))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $next)))
    (local.set $x (f64x2.add (local.get $sumLow) (local.get $sumHigh)))
    (f64.add (f64x2.extract_lane 0 (local.get $x)) (f64x2.extract_lane 1 (local.get $x))))

  ;; g = clip * gradient; m = beta1 * m + rest1 * g; v = beta2 * v + rest2 * g^2;
  ;; weight = decay * weight - rate * m / (correction * sqrt(v) + epsilon).
  ;; Returns 0, or NaN when a new weight is not finite: only a finite x has x - x = 0.
  (func (export "update")
    (param $weight i32) (param $m i32) (param $v i32) (param $gradient i32) (param $bytes i32)
    (param $clip f32) (param $beta1 f32) (param $rest1 f32) (param $beta2 f32) (param $rest2 f32)
    (param $decay f32) (param $rate f32) (param $correction f32) (param $epsilon f32)
    (result f32)
    (local $at i32) (local $g v128) (local $mNow v128) (local $vNow v128) (local $x v128) (local $broken v128)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $g (f32x4.mul (f32x4.splat (local.get $clip)) (v128.load (i32.add (local.get $gradient) (local.get $at)))))
        (local.set $mNow (f32x4.add
          (f32x4.mul (f32x4.splat (local.get $beta1)) (v128.load (i32.add (local.get $m) (local.get $at))))
          (f32x4.mul (f32x4.splat (local.get $rest1)) (local.get $g))))
        (local.set $vNow (f32x4.add
          (f32x4.mul (f32x4.splat (local.get $beta2)) (v128.load (i32.add (local.get $v) (local.get $at))))
          (f32x4.mul (f32x4.splat (local.get $rest2)) (f32x4.mul (local.get $g) (local.get $g)))))
        (local.set $x (f32x4.sub
          (f32x4.mul (f32x4.splat (local.get $decay)) (v128.load (i32.add (local.get $weight) (local.get $at))))
          (f32x4.div
            (f32x4.mul (f32x4.splat (local.get $rate)) (local.get $mNow))
            (f32x4.add
              (f32x4.mul (f32x4.splat (local.get $correction)) (f32x4.sqrt (local.get $vNow)))
              (f32x4.splat (local.get $epsilon))))))
        (v128.store (i32.add (local.get $m) (local.get $at)) (local.get $mNow))
        (v128.store (i32.add (local.get $v) (local.get $at)) (local.get $vNow))
        (v128.store (i32.add (local.get $weight) (local.get $at)) (local.get $x))
        (local.set $broken (f32x4.add (local.get $broken) (f32x4.sub (local.get $x) (local.get $x))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $broken)) (f32x4.extract_lane 1 (local.get $broken)))
      (f32.add (f32x4.extract_lane 2 (local.get $broken)) (f32x4.extract_lane 3 (local.get $broken))))))`;

/** The numbers that one update needs, named as in the WebAssembly text above. */
export type UpdateFactors = {
  clip: number;
  beta1: number;
  beta2: number;
  decay: number;
  rate: number;
  correction: number;
  epsilon: number;
};

export type AdamWArrays = { weight: Float32Array; m: Float32Array; v: Float32Array; gradient: Float32Array };

type Exports = {
  sumOfSquares: (from: number, end: number) => number;
  update: (...numbers: number[]) => number;
};

let compiled: Promise<WebAssembly.Module> | null = null;

async function compile(): Promise<WebAssembly.Module> {
  const text = (await wabt()).parseWat('adamw.wat', TEXT, { simd: true });
  try {
    return new WebAssembly.Module(text.toBinary({}).buffer);
  } finally {
    text.destroy();
  }
}

export class AdamWKernel {
  /** The arrays of each parameter, in the order of the given lengths. They start as zeros. */
  readonly arrays: readonly AdamWArrays[];
  readonly #exports: Exports;
  readonly #gradients: { from: number; end: number };

  private constructor(module: WebAssembly.Module, lengths: readonly number[]) {
    const padded = lengths.map((length) => Math.ceil(length / LANES) * LANES * FLOAT_BYTES);
    const quarter = padded.reduce((sum, bytes) => sum + bytes, 0);
    const pages = Math.ceil((4 * quarter) / PAGE_BYTES);
    if (pages > MAX_PAGES) {
      const [found, most] = [quarter, (MAX_PAGES * PAGE_BYTES) / 4].map((bytes) => Math.floor(bytes / FLOAT_BYTES));
      throw new Error(`${found} weights to train at once, and AdamW's memory holds ${most}`);
    }
    const memory = new WebAssembly.Memory({ initial: pages });
    let at = 0;
    this.arrays = lengths.map((length, i) => {
      const part = (k: number) => new Float32Array(memory.buffer, k * quarter + at, length);
      const arrays = { weight: part(0), m: part(1), v: part(2), gradient: part(3) };
      at += padded[i]!;
      return arrays;
    });
    this.#gradients = { from: 3 * quarter, end: 4 * quarter };
    this.#exports = new WebAssembly.Instance(module, { adamw: { memory } }).exports as Exports;
  }

  /**
   * Allocates memory for parameters of the given lengths. Weights, moments and gradients share 4
   * GiB. If they need more, throws an error with the number of weights and the limit.
   */
  static async create(lengths: readonly number[]): Promise<AdamWKernel> {
    compiled ??= compile();
    return new AdamWKernel(await compiled, lengths);
  }

  /** The norm of all gradients together. It is finite unless one of the gradients is not. */
  gradientNorm(): number {
    return Math.sqrt(this.#exports.sumOfSquares(this.#gradients.from, this.#gradients.end));
  }

  /** Updates one parameter's weights and moments. Returns false if a new weight is not finite. */
  update({ weight, m, v, gradient }: AdamWArrays, factors: UpdateFactors): boolean {
    const { clip, beta1, beta2, decay, rate, correction, epsilon } = factors;
    const offsets = [weight, m, v, gradient].map((array) => array.byteOffset);
    const numbers = [clip, beta1, 1 - beta1, beta2, 1 - beta2, decay, rate, correction, epsilon];
    return this.#exports.update(...offsets, weight.byteLength, ...numbers) === 0;
  }
}
