/* Preloaded, it makes MKL take its AVX-512 code on processors of other makers that have it: see docs/experiments.md. */
int mkl_serv_intel_cpu_true(void) { return 1; }
