/** Teaching a classifier by examples: see `TransferSession`. */
export class TransferSession extends EventTarget {}
