/**
 * The operators of our graphs: ONNX's own (opset 18) and a few of onnxruntime's (`com.microsoft`).
 * If training needs an operator's gradient, it is in `training/autodiff/vjps.ts` under the same
 * name.
 */
export * from './ops-arithmetic.ts';
export * from './ops-places.ts';
export * from './ops-shape.ts';
