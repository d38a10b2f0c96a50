/** The plain HTTP program on a system whose processes can share no memory. */
Object.defineProperty(process, 'arch', { value: 'riscv64' });
await import('./plain-http.ts');
