#pragma once
// Logarithm and exponential whose bits are the same on every CPU: only + - * / and bit casts.
// The C library's versions differ between CPUs with and without fused multiply-add, and a decision
// must replay to the last bit anywhere. Compile with -ffp-contract=off.

namespace selfheal::math {

// Natural logarithm; error below 1 ulp. x > 0 and finite; 0 and below give -infinity.
double log(double x);

// Exponential; error below 1 ulp. Saturates to 0 below -745 and to infinity above 709.78.
double exp(double x);

// 1/(1+exp(-x)), without overflow for any finite x.
double sigmoid(double x);

}  // namespace selfheal::math
