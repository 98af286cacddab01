/**
 * Turns float weights into int8, with one scale per column. The weights then take a quarter of the
 * space, and the card says what that costs.
 */

import { ANY_HARM, COLUMNS, HARM_COLUMN } from '#shared/classify/combine-scores.ts';
import type { ClassifierModel, ColumnModel } from '#shared/classify/model-format.ts';
import { LABELS } from '#shared/line/categories.ts';
import type { Platt } from './calibrate.ts';
import type { FloatModel } from './fit.ts';

const LARGEST = 127;

export type QuantizedModel = { bits: number; columns: ColumnModel[]; weights: Int8Array };

export function quantize({ bits, biases, weights }: FloatModel): QuantizedModel {
  const quantized = new Int8Array(weights.length);
  const columns = Array.from(biases, (bias, k): ColumnModel => {
    let largest = 0;
    for (let at = k; at < weights.length; at += COLUMNS) largest = Math.max(largest, Math.abs(weights[at]!));
    const scale = largest === 0 ? 1 : largest / LARGEST;
    for (let at = k; at < weights.length; at += COLUMNS) quantized[at] = Math.round(weights[at]! / scale);
    return { bias, scale };
  });
  return { bits, columns, weights: quantized };
}

/** The columns of the float model, unscaled, so that the same code reads both models. */
export function floatColumns({ biases }: FloatModel): ColumnModel[] {
  return Array.from(biases, (bias) => ({ bias, scale: 1 }));
}

export function withCalibration(
  model: QuantizedModel,
  { calibration, words }: { calibration: readonly Platt[]; words: string[] },
): Omit<ClassifierModel, 'version'> {
  const { bits, columns, weights } = model;
  const labels = LABELS.map((label, k) => ({ label, ...columns[k]!, calibration: calibration[k]! }));
  return {
    bits,
    labels,
    harm: columns[HARM_COLUMN]!,
    anyHarm: { calibration: calibration[ANY_HARM]! },
    words,
    weights,
  };
}
