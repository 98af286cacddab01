/**
 * onnxruntime-node reports to its makers (it looks up a host of theirs and writes a device id into
 * the user's cache folder) unless this variable is set before it is loaded. It reads the
 * environment of the process, which a thread cannot change: so whatever starts a thread that loads
 * onnxruntime imports this file first, in the main thread.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) process.env.ORT_DISABLE_TELEMETRY = '1';
