"""Blocks of time steps as one call of compiled code, for networks whose every step it knows.

source    kernels of linear operators, and how threads share instructions, in C
signal    tensors of a block while a program is written
writer    instructions, their operands and where these lie in memory
linear    instructions for linear steps
sites     instructions for sites
difference  instructions for products of two signals
arrival   how data enter at t = 0
recipe    a plan, for given shapes, as instructions
program   instructions laid out in memory
simulation  a program at work on one simulation's memory
"""
