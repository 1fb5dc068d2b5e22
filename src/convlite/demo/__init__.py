"""The demo: MTCNN finds the faces in a photograph, on convlite and NumPy alone (`convlite demo`).

Three small networks hand each other boxes. P-Net is a 12x12 face classifier made fully convolutional: it
slides over an image pyramid and proposes boxes. R-Net (24x24) and O-Net (48x48) look at each proposal again;
O-Net also places five landmarks. Reading order: run, detect, pyramid, networks, weights, draw.

The weights are those of the PyPI package mtcnn 1.0.0, and so is every rule between the networks (pyramid,
area resizing, cropping, suppression), so the results can be compared. On scikit-image's astronaut.png both
find one face; under TensorFlow 2.21 the mtcnn package gives the box (181.598, 63.726) to (264.553, 171.079)
with score 0.99912065. convlite's box differs from it by 0.0003 pixel, the landmarks by 0.0001 pixel and the
score by 1e-7 (tests/golden/demo_boxes.json; tests/test_demo.py prints the differences).

Method: Zhang, Zhang, Li and Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", IEEE Signal Processing Letters 23 (2016).
"""
