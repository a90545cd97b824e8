"""The exercises of the chapter practice/training-at-scale."""

from cnnbook.exercises import exercise

import numpy as np

exercise(
    "training-at-scale/lost",
    solution=3,
    why="Its neighbour keeps a sum that is not complete and hands that on, to the two that had still to get it.",
    wrong=[
        (1, "The neighbour is wrong, but what it has goes on around the ring."),
        (2, "Those are the ones that get it from the neighbour; the neighbour itself is wrong as well."),
        (6, "So it would be in the first round. Here the sum was complete, and some have it already."),
        (5, "So it would be in the first step of the second round; two steps have gone by, and two have the sum."),
        (4, "Before the third step two workers have got the complete chunk, and one had it: count the others."),
        (0, "Nobody sends that parcel a second time."),
    ],
    otherwise="One worker completes the chunk, and each step brings it to one more. Who still lacks it at the third?",
)

exercise(
    "training-at-scale/split",
    solution=6,
    why="9 * 64 * 128 weights are fewer than B * 14 * 14 * 64 inputs if B is above 9 * 128 / 196 = 5.9.",
    wrong=[
        (5, "With 5 images there are still fewer inputs than weights: round up."),
        (9 * 128 / 196, "That is where the two are equal; a batch is a whole number of images."),
        (3, "You compared with the outputs, 14x14x128; the workers need the inputs, and add up the gradient by them."),
        (376, "You compared the weights with the pixels; each has 64 channels."),
        (1, "For one image the inputs are 12,544 numbers, and the weights are more."),
    ],
    otherwise="The weights are 9 * 64 * 128, the inputs of a batch B * 14 * 14 * 64. Which B makes the second larger?",
)

exercise(
    "training-at-scale/uneven",
    solution=lambda gradients, counts: np.average(gradients, axis=0, weights=counts),
    why="Each worker's gradient is a mean over its images; times their number it is a sum, and sums may be added.",
    wrong=[
        (lambda gradients, counts: np.mean(gradients, axis=0), "So an image counts more in the smaller part."),
        (lambda gradients, counts: np.sum(gradients, axis=0), "That is a sum of means; a mean is asked for."),
        (lambda gradients, counts: counts @ gradients, "Now it is the sum over all images; divide by their number."),
        (
            lambda gradients, counts: np.average(gradients, axis=0, weights=1 / counts),
            "The other way round: more images weigh more.",
        ),
    ],
    otherwise="Make a sum of each mean, add the sums, and divide by the number of all images.",
    inputs=lambda rng: (rng.normal(size=(4, 3)), rng.integers(1, 33, 4)),
)

exercise(
    "training-at-scale/enough",
    solution=40,
    why="Nearly two gradients of 40 MB take 8 ms on the line, and an image 0.2 ms: 40 images.",
    wrong=[
        (20, "In a ring each worker sends nearly two gradients, one in each round."),
        (10, "The gradients are 4 bytes a number, and each worker sends nearly two of them."),
        (80, "Sent and received at once: the line carries two gradients each way, not four."),
        (0.025, "The other way round: the time to tell, by the time of an image."),
        (0.2, "Those are the milliseconds of one image. How many take as long as the ring?"),
        (8, "Those are the milliseconds of the ring. How many images take as long?"),
    ],
    otherwise="The seconds of the ring, 2 gradients by the bytes a second; divide by the seconds of an image.",
)
